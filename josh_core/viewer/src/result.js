// One loaded result: the glTF scene of one mode, its layers, and its pose at a given time.
// Everything is in the result's world: metres, +Y up, floor at y = 0. Names and extras are those of
// export/scene3d/glb.py.
import * as THREE from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { contactMarkers, pointMaterial, segmentsOf, supportPatch, thickLine } from './looks.js';

const TOUCHING = 0.5; // contact probability from which a point is drawn
const OWN_GAIN = 1.3; // the clip's own shade is in a person's colours already; ours on top of it would be too much
const FLOOR_HEIGHT = 0.3; // m: the filled-in floor stays under 0.12 m on log_sit, a whole place reaches over 2.8 m
const MARKER = new THREE.Matrix4();

export class Result {
  /** Read a .glb. `onProgress` gets (bytes so far, total or 0). */
  static async load(url, onProgress) {
    const report = (event) => onProgress?.(event.loaded, event.lengthComputable ? event.total : 0);
    return new Result(await new GLTFLoader().loadAsync(url, report));
  }

  constructor(gltf) {
    this.meta = gltf.asset.extras ?? {};
    this.root = gltf.scene;
    this.people = [];
    this.paths = [];
    this.points = null;
    this.supports = (this.meta.supports ?? []).map(supportPatch); // what people are on beside the floor
    this.surface = null; // the same place as a textured mesh
    this.onlyFloor = false; // whether that mesh is the floor alone, which the points belong to
    this.hasLooks = false; // whether somebody has an own look beside the plain one
    this.source = null; // the recovered camera, a PerspectiveCamera that the animation moves
    this.times = this.meta.frame_times ?? keyTimes(gltf.animations);
    this.mixer = new THREE.AnimationMixer(this.root);
    this.actions = gltf.animations.map((clip) => this.mixer.clipAction(clip).play());
    this.sort();
    if (this.supports.length) this.root.add(...this.supports);
    this.setTime(0);
  }

  /** Recognise what the file holds and dress it. */
  sort() {
    const found = [];
    this.root.traverse((object) => found.push(object));
    for (const object of found) {
      const kind = object.userData.kind;
      if (object.isCamera) this.source = object;
      else if (object.isSkinnedMesh) this.addPerson(object);
      else if (object.isMesh && kind === 'surface') [this.surface, this.onlyFloor] = [object, isFloor(object)];
      else if (object.isPoints) this.dressPoints(object);
      else if (object.isLine && kind === 'path') this.replacePath(object);
      else if (object.isLine && kind === 'camera') this.replaceFrustum(object);
    }
  }

  addPerson(mesh) {
    mesh.frustumCulled = false; // its bounds are those of one pose only
    mesh.castShadow = true;
    mesh.material.roughness = 0.62;
    mesh.material.metalness = 0;
    const extras = mesh.userData;
    const rows = frameRows(extras.frame_runs, this.times.length);
    const contact = readContact(extras.contact);
    const markers = contactMarkers(contact.vertices.length);
    this.root.add(markers);
    const id = extras.track_id ?? this.people.length;
    const color = extras.color ?? `#${mesh.material.color.getHexString()}`;
    const { color: shown, _plain: plain } = mesh.geometry.attributes; // without _plain, there is no other look
    const wear = (own) => {
      if (!plain) return;
      mesh.geometry.setAttribute('color', own ? shown : plain);
      mesh.material.color.setScalar(own ? OWN_GAIN : 1);
    };
    this.hasLooks ||= Boolean(plain);
    this.people.push({ id, color, wear, height: extras.height_m ?? 1.7, mesh, rows, contact, markers, layer: `person${id}` });
  }

  dressPoints(points) {
    points.material.dispose();
    points.material = pointMaterial(0.02);
    this.points = points;
  }

  /** A dim line for the whole way and a bright one for the part already walked. */
  replacePath(line) {
    const positions = segmentsOf(line);
    const color = line.material.color;
    const whole = thickLine(positions, color, 2, 0.3);
    const walked = thickLine(positions, color, 3.5);
    const group = new THREE.Group();
    group.add(whole, walked);
    swap(line, group);
    const person = this.people.find((p) => p.id === line.userData.track_id);
    this.paths.push({ group, walked, person, lines: [whole, walked], count: positions.length / 6, points: positions });
  }

  replaceFrustum(line) {
    const frustum = thickLine(segmentsOf(line), line.material.color, 2.5);
    line.geometry.computeBoundingBox();
    this.frustumDepth = -line.geometry.boundingBox.min.z;
    swap(line, frustum);
    this.frustum = frustum;
  }

  /** Diameter in mm at which neighbouring scene points just close the surface, from how many share a 10 cm cell. */
  closePointSize() {
    const position = this.points?.geometry.attributes.position;
    if (!position) return 20;
    const cells = new Set();
    for (let i = 0; i < position.count; i++) {
      const [x, y, z] = [position.getX(i), position.getY(i), position.getZ(i)].map((v) => Math.floor(v * 10) + 4096);
      cells.add((x * 8192 + y) * 8192 + z);
    }
    const spacing = 100 / Math.sqrt(position.count / cells.size);
    return Math.round(Math.min(Math.max(1.2 * spacing, 8), 45));
  }

  /** Lines whose width in pixels depends on the size of the picture. */
  get thickLines() {
    return [...this.paths.flatMap((path) => path.lines), ...(this.frustum ? [this.frustum] : []), ...this.supports.map((s) => s.children[0])];
  }

  /** The recovered camera's image plane at frustum depth, and a backdrop far behind everything, showing the clip. */
  showClip(texture) {
    if (!this.source || !texture) return;
    const height = 2 * Math.tan(THREE.MathUtils.degToRad(this.source.fov) / 2);
    const plane = (depth, material) => {
      const mesh = new THREE.Mesh(new THREE.PlaneGeometry(height * this.source.aspect * depth, height * depth), material);
      mesh.position.z = -depth;
      this.source.add(mesh);
      return mesh;
    };
    const look = { map: texture, transparent: true, toneMapped: false };
    this.imagePlane = plane(this.frustumDepth ?? 0.4, new THREE.MeshBasicMaterial({ ...look, side: THREE.DoubleSide, opacity: 0.92 }));
    this.backdrop = plane(100, new THREE.MeshBasicMaterial({ ...look, depthTest: false, depthWrite: false }));
    this.backdrop.renderOrder = -10;
    this.backdrop.visible = false;
  }

  get duration() {
    return this.times[this.times.length - 1] ?? 0;
  }

  /** Pose everything at time `t` in seconds; `frame` is the nearest frame, for what is stored per frame. */
  setTime(t, frame = 0) {
    for (const action of this.actions) {
      const end = action.getClip().duration;
      action.time = Math.min(Math.max(t, 0), end * (1 - 1e-6)); // exactly the end would wrap around to the start
    }
    this.mixer.update(0);
    this.root.updateMatrixWorld(true);
    this.markContacts(frame);
    for (const path of this.paths) path.walked.geometry.instanceCount = walkedSegments(path, frame);
  }

  markContacts(frame) {
    const place = new THREE.Vector3();
    for (const { mesh, rows, contact, markers } of this.people) {
      const row = rows[frame];
      markers.count = 0;
      if (row < 0 || !contact.probability) continue;
      const width = contact.names.length;
      contact.vertices.forEach((vertex, k) => {
        if (contact.probability[row * width + k] < TOUCHING * 255) return;
        mesh.getVertexPosition(vertex, place).applyMatrix4(mesh.matrixWorld);
        markers.setMatrixAt(markers.count++, MARKER.makeTranslation(place));
      });
      markers.instanceMatrix.needsUpdate = true;
    }
  }

  /** World position of a person's pelvis now, or null while the person is not seen. */
  pelvis(person, frame) {
    if (person.rows[frame] < 0) return null;
    return person.mesh.skeleton.bones[0].getWorldPosition(new THREE.Vector3());
  }

  /** Bounds of the people's whole way, feet to head, with the camera's if it stays near them. */
  bounds() {
    const box = new THREE.Box3();
    for (const path of this.paths) {
      if (!path.person) continue;
      for (let i = 0; i < path.points.length; i += 3) box.expandByPoint(new THREE.Vector3().fromArray(path.points, i));
    }
    for (const person of this.people) {
      const pelvis = person.mesh.skeleton.bones[0].getWorldPosition(new THREE.Vector3());
      if (box.isEmpty() || person.rows[0] >= 0) box.expandByPoint(pelvis.setY(0));
    }
    if (box.isEmpty()) return box.setFromObject(this.root);
    box.min.y = Math.min(box.min.y, 0);
    box.max.y = Math.max(box.max.y, 1.8);
    box.expandByVector(new THREE.Vector3(0.5, 0, 0.5));
    return box;
  }

  dispose() {
    this.mixer.stopAllAction();
    this.mixer.uncacheRoot(this.root);
    this.root.removeFromParent();
    this.root.traverse((object) => {
      object.geometry?.dispose();
      for (const material of [object.material ?? []].flat()) {
        if (object.userData.kind === 'surface') material.map?.dispose(); // the clip's texture is the viewer's
        material.dispose();
      }
      object.skeleton?.dispose();
      if (object.isInstancedMesh) object.dispose();
    });
  }
}

function swap(line, replacement) {
  replacement.name = line.name;
  replacement.userData = line.userData;
  replacement.position.copy(line.position);
  replacement.quaternion.copy(line.quaternion);
  line.parent.add(replacement);
  line.removeFromParent();
  line.geometry.dispose();
  line.material.dispose();
}

function keyTimes(animations) {
  const tracks = animations.flatMap((clip) => clip.tracks);
  const longest = tracks.reduce((a, b) => (b.times.length > a.length ? b.times : a), []);
  return Array.from(longest);
}

/** Whether a surface is nothing but floor (y = 0): what stands on it is then known from the points alone. */
function isFloor(mesh) {
  return new THREE.Box3().setFromObject(mesh).max.y < FLOOR_HEIGHT;
}

/** Row of a person's own arrays for every frame of the clip, -1 where the person is not seen. */
function frameRows(runs, frames) {
  const rows = new Int32Array(frames).fill(runs ? -1 : 0);
  let row = 0;
  for (const [first, last] of runs ?? []) for (let f = first; f <= last && f < frames; f++) rows[f] = row++;
  return rows;
}

function readContact(contact) {
  const names = contact?.names ?? [];
  const text = contact?.probability_u8_base64;
  const probability = text ? Uint8Array.from(atob(text), (c) => c.charCodeAt(0)) : null;
  return { names, probability, vertices: contact?.vertices ?? [] };
}

/** Segments of a path that lie before `frame`; a person's path has no segment across a gap. */
function walkedSegments(path, frame) {
  if (!path.person) return Math.min(frame, path.count);
  let segments = 0;
  const rows = path.person.rows;
  for (let f = 1; f <= frame; f++) if (rows[f] >= 0 && rows[f - 1] >= 0) segments++;
  return Math.min(segments, path.count);
}
