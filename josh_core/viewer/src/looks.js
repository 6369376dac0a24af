// Materials: round scene points of true size, thick lines, the floor with its grid and shadow, markers of contact.
import * as THREE from 'three';
import { LineMaterial } from 'three/examples/jsm/lines/LineMaterial.js';
import { LineSegments2 } from 'three/examples/jsm/lines/LineSegments2.js';
import { LineSegmentsGeometry } from 'three/examples/jsm/lines/LineSegmentsGeometry.js';

const PATCH = 0x8fa3bd; // of supports, seen on dark and light ground

/** Discs of `size` metres whatever the field of view; colours are linear vertex colours. */
export function pointMaterial(size) {
  return new THREE.ShaderMaterial({
    uniforms: { size: { value: size }, height: { value: 1 } },
    vertexShader: `
      uniform float size, height;
      attribute vec4 color;
      varying vec3 tint;
      void main() {
        vec4 p_view = modelViewMatrix * vec4(position, 1.0);
        gl_Position = projectionMatrix * p_view;
        gl_PointSize = clamp(size * projectionMatrix[1][1] * height * 0.5 / -p_view.z, 1.0, 48.0);
        tint = color.rgb;
      }`,
    fragmentShader: `
      varying vec3 tint;
      void main() {
        if (length(gl_PointCoord - 0.5) > 0.5) discard;
        gl_FragColor = vec4(tint, 1.0);
        #include <colorspace_fragment>
      }`,
  });
}

/** A line of constant width on screen: WebGL's own lines are always one pixel wide. */
export function thickLine(positions, color, width, opacity = 1) {
  const geometry = new LineSegmentsGeometry().setPositions(positions);
  const material = new LineMaterial({ color, linewidth: width, transparent: opacity < 1, opacity });
  const line = new LineSegments2(geometry, material);
  line.frustumCulled = false;
  return line;
}

/** Flat [x,y,z, ...] pairs of points of a glTF line or line strip. */
export function segmentsOf(line) {
  const position = line.geometry.attributes.position;
  const index = line.geometry.index;
  const count = index ? index.count : position.count;
  const at = (i) => (index ? index.getX(i) : i);
  const out = [];
  for (let i = 0; i + 1 < count; i += line.isLineSegments ? 2 : 1) {
    for (const k of [at(i), at(i + 1)]) out.push(position.getX(k), position.getY(k), position.getZ(k));
  }
  return out;
}

/** A grid of 1 m squares on the floor that fades out with distance from its centre. */
export function floorGrid() {
  const material = new THREE.ShaderMaterial({
    transparent: true,
    depthWrite: false,
    side: THREE.DoubleSide,
    uniforms: {
      color: { value: new THREE.Color() },
      centre: { value: new THREE.Vector2() },
      reach: { value: 12 },
    },
    vertexShader: `
      varying vec2 p;
      void main() {
        vec4 world = modelMatrix * vec4(position, 1.0);
        p = world.xz;
        gl_Position = projectionMatrix * viewMatrix * world;
      }`,
    fragmentShader: `
      uniform vec3 color;
      uniform vec2 centre;
      uniform float reach;
      varying vec2 p;
      float lines(float spacing) {
        vec2 q = p / spacing;
        vec2 width = fwidth(q);
        vec2 d = abs(fract(q - 0.5) - 0.5) / max(width, 1e-6);
        float crowding = clamp(1.0 - max(width.x, width.y) * 2.0, 0.0, 1.0);
        return (1.0 - min(min(d.x, d.y), 1.0)) * crowding;
      }
      void main() {
        float fade = 1.0 - smoothstep(0.25, 1.0, length(p - centre) / reach);
        gl_FragColor = vec4(color, fade * max(lines(1.0) * 0.35, lines(5.0) * 0.6));
        #include <colorspace_fragment>
      }`,
  });
  const grid = new THREE.Mesh(new THREE.PlaneGeometry(400, 400).rotateX(-Math.PI / 2), material);
  grid.renderOrder = 1;
  return grid;
}

/** A floor that shows nothing but shadow; pulled toward the eye so that rough floor points do not cover it. */
export function shadowFloor(geometry = new THREE.PlaneGeometry(400, 400).rotateX(-Math.PI / 2)) {
  const material = new THREE.ShadowMaterial({ opacity: 0.3, depthWrite: false });
  material.polygonOffset = true;
  material.polygonOffsetFactor = -6;
  material.polygonOffsetUnits = -600;
  const floor = new THREE.Mesh(geometry, material);
  floor.receiveShadow = true;
  floor.renderOrder = 2;
  return floor;
}

/** A patch that people stand or sit on beside the floor: filled faintly, with its outline, and shown in shadow. */
export function supportPatch({ height, outline }) {
  const shape = new THREE.Shape(outline.map(([x, z]) => new THREE.Vector2(x, -z)));
  const geometry = new THREE.ShapeGeometry(shape).rotateX(-Math.PI / 2);
  const fill = new THREE.MeshBasicMaterial({ color: PATCH, transparent: true, opacity: 0.3, side: THREE.DoubleSide, depthWrite: false });
  const patch = new THREE.Mesh(geometry, fill);
  const corners = outline.map(([x, z]) => [x, 0, z]);
  const rim = corners.flatMap((corner, i) => [...corner, ...corners[(i + 1) % corners.length]]);
  const shade = shadowFloor(geometry);
  patch.add(thickLine(rim, new THREE.Color(PATCH), 2), shade);
  patch.position.y = height;
  patch.renderOrder = 1;
  return patch;
}

/** Small bright balls, at most `count`, drawn over the body so that a sole's contact is seen from above. */
export function contactMarkers(count) {
  const material = new THREE.MeshBasicMaterial({ color: 0xff3d71, depthTest: false, transparent: true, opacity: 0.9 });
  const markers = new THREE.InstancedMesh(new THREE.SphereGeometry(0.022, 10, 8), material, Math.max(count, 1));
  markers.frustumCulled = false;
  markers.renderOrder = 5;
  markers.count = 0;
  return markers;
}

/** The clip as a texture, or null. One texture may be used by several materials. */
export function clipTexture(video) {
  if (!video) return null;
  const texture = new THREE.VideoTexture(video);
  texture.colorSpace = THREE.SRGBColorSpace;
  return texture;
}
