// Where the picture is taken from: free orbit, following a person, or through the recovered camera.
import * as THREE from 'three';
import { OrbitControls } from 'three/examples/jsm/controls/OrbitControls.js';

const FOV = 42; // degrees, of the free view
const FLIGHT = 900; // ms from one view to the next
const UP = new THREE.Vector3(0, 1, 0);

export class Views {
  constructor(canvas, onMove) {
    this.free = new THREE.PerspectiveCamera(FOV, 1, 0.02, 400);
    this.camera = new THREE.PerspectiveCamera(FOV, 1, 0.02, 400); // what is drawn
    this.controls = new OrbitControls(this.free, canvas);
    this.controls.enableDamping = true;
    this.controls.dampingFactor = 0.12;
    this.controls.maxPolarAngle = Math.PI * 0.53;
    this.controls.minDistance = 0.4;
    this.controls.maxDistance = 120;
    this.controls.addEventListener('change', onMove);
    this.kind = 'orbit';
    this.followed = null;
    this.anchor = null; // where the followed person was at the last update
    this.flight = null;
    this.calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  }

  /** Choose "orbit", "camera" or "follow<track id>"; fly there unless `still`. */
  choose(kind, result, still = false) {
    const person = kind.startsWith('follow') ? result.people.find((p) => `follow${p.id}` === kind) : null;
    if (kind.startsWith('follow') && !person) kind = 'orbit';
    if (!still && !this.calm) this.takeOff();
    this.kind = kind;
    this.followed = person;
    this.anchor = null;
    this.controls.enabled = kind !== 'camera';
  }

  takeOff() {
    const { position, quaternion, fov } = this.camera;
    this.flight = { start: performance.now(), position: position.clone(), quaternion: quaternion.clone(), fov };
  }

  get throughCamera() {
    return this.kind === 'camera';
  }

  /** How far the flight has come, 1 when there is none. */
  get arrival() {
    if (!this.flight) return 1;
    return Math.min(1, (performance.now() - this.flight.start) / FLIGHT);
  }

  /** Frame a whole result: three quarters from behind the recovered camera, all people in the picture. */
  frame(result, aspect) {
    const box = result.bounds();
    const centre = box.getCenter(new THREE.Vector3());
    centre.y = Math.min(centre.y, 0.95);
    const back = new THREE.Vector3(0, 0, 1);
    if (result.source) result.source.getWorldDirection(back).negate();
    back.y = 0;
    if (back.lengthSq() < 1e-6) back.set(0, 0, 1);
    back.normalize().applyAxisAngle(UP, 0.62);
    back.y = 0.42;
    back.normalize();
    this.controls.target.copy(centre);
    this.free.position.copy(centre).addScaledVector(back, fitDistance(box, centre, back, aspect));
    this.controls.update();
  }

  /** Bring all cameras up to date for this picture. Returns true while something still moves. */
  update(result, frame, aspect) {
    if (this.followed) this.follow(result.pelvis(this.followed, frame));
    const moved = this.controls.update();
    this.free.aspect = aspect;
    this.free.updateProjectionMatrix();
    const goal = this.throughCamera && result.source ? throughSource(result.source, aspect) : this.free;
    this.camera.position.copy(goal.position);
    this.camera.quaternion.copy(goal.quaternion);
    this.camera.fov = goal.fov;
    const flying = this.fly();
    this.camera.aspect = aspect;
    this.camera.updateProjectionMatrix();
    return moved || flying;
  }

  /** Move eye and target along with the person. */
  follow(pelvis) {
    if (!pelvis) return;
    if (this.anchor) {
      const step = pelvis.clone().sub(this.anchor);
      this.free.position.add(step);
      this.controls.target.add(step);
    } else {
      const offset = this.free.position.clone().sub(this.controls.target).clampLength(2.2, 4.2);
      this.controls.target.copy(pelvis);
      this.free.position.copy(pelvis).add(offset);
    }
    this.anchor = pelvis;
  }

  fly() {
    if (!this.flight) return false;
    const arrival = this.arrival;
    const w = arrival * arrival * (3 - 2 * arrival);
    this.camera.position.lerpVectors(this.flight.position, this.camera.position.clone(), w);
    this.camera.quaternion.slerpQuaternions(this.flight.quaternion, this.camera.quaternion.clone(), w);
    this.camera.fov = THREE.MathUtils.lerp(this.flight.fov, this.camera.fov, w);
    if (arrival === 1) this.flight = null;
    return true;
  }

  get state() {
    if (this.throughCamera) return { kind: 'camera' };
    return { kind: this.kind, position: this.free.position.toArray(), target: this.controls.target.toArray() };
  }

  restore(view, result) {
    this.choose(view.kind, result, true);
    if (!view.position) return;
    this.free.position.fromArray(view.position);
    this.controls.target.fromArray(view.target);
    if (this.followed) this.anchor = this.controls.target.clone();
    this.controls.update();
  }

  dispose() {
    this.controls.dispose();
  }
}

/** Distance along `back` from which the whole box is in the picture, for a picture of this aspect. */
function fitDistance(box, centre, back, aspect) {
  const tanV = Math.tan(THREE.MathUtils.degToRad(FOV) / 2);
  const tanH = tanV * aspect;
  const right = new THREE.Vector3().crossVectors(UP, back).normalize();
  const up = new THREE.Vector3().crossVectors(back, right);
  let distance = 2.5;
  for (let corner = 0; corner < 8; corner++) {
    const p = new THREE.Vector3(
      corner & 1 ? box.max.x : box.min.x,
      corner & 2 ? box.max.y : box.min.y,
      corner & 4 ? box.max.z : box.min.z,
    ).sub(centre);
    const need = Math.max(Math.abs(p.dot(right)) / tanH, Math.abs(p.dot(up)) / tanV) + p.dot(back);
    distance = Math.max(distance, need);
  }
  return Math.min(distance * 1.08, 40);
}

/** The recovered camera with the field of view widened so that its whole picture fits into this aspect. */
function throughSource(source, aspect) {
  const position = new THREE.Vector3();
  const quaternion = new THREE.Quaternion();
  source.matrixWorld.decompose(position, quaternion, new THREE.Vector3());
  const half = Math.tan(THREE.MathUtils.degToRad(source.fov) / 2);
  const fit = Math.max(half, (half * source.aspect) / aspect);
  return { position, quaternion, fov: THREE.MathUtils.radToDeg(2 * Math.atan(fit)) };
}
