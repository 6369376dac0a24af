// The drawing surface: renderer, light, floor, and the picture's size. Knows nothing of time or of the page around it.
import * as THREE from 'three';
import { floorGrid, shadowFloor } from './looks.js';

const SHADOW_REACH = 9; // m around the people that the sun's shadow map covers
const SLOW_FRAME = 45; // ms between pictures from which the resolution is lowered

export class Stage {
  /** Throws when the browser has no WebGL. */
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.setClearColor(0x000000, 0);
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    this.slowness = 0;
    this.scene = new THREE.Scene();
    this.sky = new THREE.HemisphereLight(0xffffff, 0x8a8f99, 1.9);
    this.sun = sunlight();
    this.floor = new THREE.Group();
    this.grid = floorGrid();
    this.shade = shadowFloor();
    this.floor.add(this.grid, this.shade);
    this.scene.add(this.sky, this.sun, this.sun.target, this.floor);
    this.size = new THREE.Vector2();
    this.setTheme(true);
  }

  setTheme(dark) {
    this.grid.material.uniforms.color.value.set(dark ? 0x9fb2cc : 0x47536a);
    this.shade.material.opacity = dark ? 0.55 : 0.28;
    this.sky.intensity = dark ? 1.7 : 2.1;
  }

  /** Where the grid is brightest and shadows are cast. */
  lookAfter(point) {
    this.grid.material.uniforms.centre.value.set(point.x, point.z);
    this.sun.target.position.set(point.x, 0, point.z);
    this.sun.position.set(point.x + 3.2, 8, point.z + 3.6);
  }

  /** Match the drawing buffer to the element's size. Returns false while the element has none. */
  fit() {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!width || !height) return false;
    if (this.size.x !== width || this.size.y !== height || this.renderer.getPixelRatio() !== this.ratio) {
      this.renderer.setPixelRatio(this.ratio);
      this.renderer.setSize(width, height, false);
      this.size.set(width, height);
    }
    return true;
  }

  /** Draw `result` as seen by `camera`. */
  render(camera, result) {
    if (!this.fit()) return;
    if (result) {
      for (const line of result.thickLines) line.material.resolution.copy(this.size);
      if (result.points) result.points.material.uniforms.height.value = this.size.y * this.ratio;
    }
    this.renderer.render(this.scene, camera);
  }

  /** Lower the resolution, then drop shadows, where a machine cannot keep up; `gap` is ms since the last picture. */
  keepUp(gap) {
    this.slowness = 0.9 * this.slowness + 0.1 * Math.min(gap, 200);
    if (this.slowness < SLOW_FRAME) return;
    if (this.ratio > 0.75) this.ratio = Math.max(0.75, this.ratio * 0.8);
    else this.sun.castShadow = false;
    this.slowness = 0;
  }

  dispose() {
    this.scene.traverse((object) => {
      object.geometry?.dispose();
      object.material?.dispose();
    });
    this.sun.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }
}

function sunlight() {
  const sun = new THREE.DirectionalLight(0xfff4e2, 2.1);
  sun.castShadow = true;
  sun.shadow.mapSize.set(1024, 1024);
  sun.shadow.radius = 3;
  sun.shadow.normalBias = 0.02;
  const reach = SHADOW_REACH;
  Object.assign(sun.shadow.camera, { left: -reach, right: reach, top: reach, bottom: -reach, near: 0.5, far: 30 });
  return sun;
}
