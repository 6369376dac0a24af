"""Pictures of a scene by OpenGL without a window (EGL; Mesa's llvmpipe on a machine without a GPU).

Two passes a frame: the picture, with four samples a pixel, and labels with depth at pixel centres for the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.rendered import shaders
from benchmarks.rendered.looks import DressedBody, normals_of, vertex_normals
from benchmarks.rendered.pieces import Pieces
from josh_core.errors import JoshError
from josh_core.types import Float, UInt8

NEAR, FAR = 0.1, 150.0  # m
SAMPLES = 4  # per pixel
STILL_SHADOW, PEOPLE_SHADOW = 2048, 1024  # px, side of the shadow maps of scene and people


@dataclass(frozen=True)
class Light:
    """Sun and sky; colours are linear."""

    sun: Float  # [3] toward the sun
    sun_color: Float
    sky_color: Float
    ground_color: Float

    @classmethod
    def random(cls, rng: np.random.Generator, room: bool) -> Light:
        """A day outside, or lamps in a room."""
        around, high = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.2)
        sun = np.array([np.cos(around) * np.cos(high), np.sin(high), np.sin(around) * np.cos(high)])
        strong = 0.9 if room else rng.uniform(0.5, 1.8)
        sky = np.array([0.5, 0.56, 0.66]) * rng.uniform(0.9, 1.3) + (0.35 if room else 0.0)
        return cls(sun, strong * np.array([1.0, 0.93, 0.82]), sky, np.array([0.32, 0.29, 0.26]))


@dataclass(frozen=True)
class RenderCamera:
    """One camera."""

    world_from_cam: Float  # [4,4]
    focal: float  # px
    size: tuple[int, int]  # width, height px

    def clip_from_world(self) -> Float:
        """OpenGL's projection [4,4]; the picture's centre is the principal point."""
        (w, h), f = self.size, self.focal
        lens = np.array([[2 * f / w, 0, 0, 0], [0, -2 * f / h, 0, 0],
                         [0, 0, (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
                         [0, 0, 1, 0]])  # fmt: skip
        return np.asarray(lens @ np.linalg.inv(self.world_from_cam))


@dataclass(frozen=True)
class Drawn:
    """A frame and what it shows."""

    rgb: UInt8  # [h,w,3]
    labels: UInt8  # [h,w] 0 for the scene, k + 1 for person k
    depth: Float  # [h,w] m along the optical axis, 0 for the sky


class Stage:
    """The graphics resources of a scene and its people; `frame` draws them."""

    def __init__(
        self, pieces: Pieces, sky: Float, people: list[DressedBody], light: Light, size: tuple[int, int]
    ) -> None:
        """Raises JoshError when this machine has no OpenGL to draw with."""
        self._gl = gl = open_context()
        self._size, self._light, self._people = size, light, people
        self._programs = {
            "thing": gl.program(shaders.THING_VERTEX, shaders.THING_FRAGMENT),
            "person": gl.program(shaders.PERSON_VERTEX, shaders.PERSON_FRAGMENT),
            "sky": gl.program(shaders.SKY_VERTEX, shaders.SKY_FRAGMENT),
            "label": gl.program(shaders.LABEL_VERTEX, shaders.LABEL_FRAGMENT),
            "body label": gl.program(shaders.BODY_LABEL_VERTEX, shaders.BODY_LABEL_FRAGMENT),
        }
        self._things = [self._thing(pieces, name) for name in pieces.triangles]
        self._bodies = [self._body(person) for person in people]
        self._sky = self._texture(sky)
        corners = gl.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4"))
        self._sky_quad = gl.vertex_array(self._programs["sky"], [(corners, "2f", "corner")])
        self._buffers(size)
        points = np.concatenate([rows[:, :3] for part in pieces.triangles.values() for rows in part])
        self._still_from_world = _sun_view(light.sun, points.min(0), points.max(0))
        self._cast(self._still_map, self._still_from_world, self._things)

    def frame(self, view: RenderCamera, meshes: list[Float], spots: Float) -> Drawn:
        """One frame. meshes: [V,3] m of everybody; spots: [S,4] places and radii of soft contact shadows, S <= 8."""
        for body, mesh in zip(self._bodies, meshes, strict=True):
            normals = vertex_normals(body["around"], body["faces"], mesh)
            body["moving"].write(np.hstack([mesh, normals]).astype("f4").tobytes())
        everybody = np.concatenate(meshes)
        people_from_world = _sun_view(self._light.sun, everybody.min(0) - [0, 0.5, 0], everybody.max(0))
        self._cast(self._people_map, people_from_world, self._bodies)
        rgb = self._picture(view, people_from_world, spots)
        labels, depth = self._labels(view)
        return Drawn(rgb, labels, depth)

    def close(self) -> None:
        """Release all graphics resources."""
        self._gl.release()

    def _buffers(self, size: tuple[int, int]) -> None:
        gl = self._gl
        self._color = gl.framebuffer([gl.renderbuffer(size, 4, samples=SAMPLES)],
                                     gl.depth_renderbuffer(size, samples=SAMPLES))  # fmt: skip
        self._resolved = gl.framebuffer([gl.renderbuffer(size, 4)])
        self._depth = gl.depth_texture(size)
        self._label = gl.framebuffer([gl.renderbuffer(size, 4)], self._depth)
        self._still_map, self._people_map = (self._shadow_map(n) for n in (STILL_SHADOW, PEOPLE_SHADOW))

    def _shadow_map(self, side: int) -> tuple[Any, Any]:
        texture = self._gl.depth_texture((side, side))
        texture.compare_func = "<="
        texture.filter = (self._gl.LINEAR, self._gl.LINEAR)
        texture.repeat_x = texture.repeat_y = False
        return texture, self._gl.framebuffer([], texture)

    def _texture(self, image: Float) -> Any:
        data = np.ascontiguousarray((np.clip(image, 0, 1) * 255).astype(np.uint8)[::-1])
        texture = self._gl.texture((image.shape[1], image.shape[0]), image.shape[2], data.tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.filter = (self._gl.LINEAR_MIPMAP_LINEAR, self._gl.LINEAR)
        texture.anisotropy = 4.0
        return texture

    def _thing(self, pieces: Pieces, name: str) -> dict[str, Any]:
        buffer = self._gl.buffer(np.vstack(pieces.triangles[name]).tobytes())
        image = pieces.textures[name].image
        return {
            "array": self._gl.vertex_array(
                self._programs["thing"], [(buffer, "3f 3f 2f 3f", "position", "normal", "uv", "tint")]
            ),
            "label array": self._gl.vertex_array(
                self._programs["label"], [(buffer, "3f 12x 2f 12x", "position", "uv")]
            ),
            "texture": self._texture(image),
            "leaf": float(image.shape[2] == 4),
        }

    def _body(self, person: DressedBody) -> dict[str, Any]:
        gl = self._gl
        moving = gl.buffer(reserve=24 * len(person.bare), dynamic=True)
        index = gl.buffer(person.faces.astype("i4").tobytes())
        rest = gl.buffer(person.bare.astype("f4").tobytes())
        parts = [(moving, "3f 3f", "position", "normal"), (rest, "3f", "rest")]
        return {
            "moving": moving,
            "faces": person.faces,
            "around": normals_of(person.faces, len(person.bare)),
            "array": gl.vertex_array(self._programs["person"], parts, index),
            "label array": gl.vertex_array(self._programs["body label"], [(moving, "3f 12x", "position")], index),
        }

    def _cast(self, shadow: tuple[Any, Any], from_world: Float, casters: list[dict[str, Any]]) -> None:
        """Depth of the casters as the sun sees them."""
        self._gl.enable(self._gl.DEPTH_TEST)
        shadow[1].use()
        shadow[1].clear(depth=1.0)
        for caster in casters:
            self._draw_label(caster, from_world, 0)

    def _picture(self, view: RenderCamera, people_from_world: Float, spots: Float) -> UInt8:
        gl, light = self._gl, self._light
        self._color.use()
        self._color.clear(depth=1.0)
        self._still_map[0].use(1)
        self._people_map[0].use(2)
        clip_from_world, dots = view.clip_from_world(), np.zeros((8, 4))
        dots[: len(spots[:8])] = spots[:8]
        for name in ("thing", "person"):
            program = self._programs[name]
            for key, matrix in (("clip_from_world", clip_from_world), ("still_from_world", self._still_from_world),
                                ("people_from_world", people_from_world)):  # fmt: skip
                _set(program, key, matrix.T)
            for key in ("sun", "sun_color", "sky_color", "ground_color"):
                _set(program, key, getattr(light, key))
            _set(program, "spots", dots)
            program["still_shadow"].value, program["people_shadow"].value = 1, 2
        for thing in self._things:
            thing["texture"].use(0)
            self._programs["thing"]["leaf"].value = thing["leaf"]
            thing["array"].render()
        _set(self._programs["person"], "eye", view.world_from_cam[:3, 3])
        for person, body in zip(self._people, self._bodies, strict=True):
            _wear(self._programs["person"], person)
            body["array"].render()
        self._draw_sky(view)
        gl.copy_framebuffer(self._resolved, self._color)
        return np.frombuffer(self._resolved.read(components=3, alignment=1), np.uint8).reshape(
            view.size[1], view.size[0], 3
        )[::-1]

    def _draw_sky(self, view: RenderCamera) -> None:
        program, (w, h) = self._programs["sky"], view.size
        self._sky.use(0)
        _set(program, "world_from_cam", view.world_from_cam[:3, :3].T)
        _set(program, "lens", np.array([w / 2 / view.focal, h / 2 / view.focal, 0]))
        self._sky_quad.render(self._gl.TRIANGLE_STRIP)

    def _labels(self, view: RenderCamera) -> tuple[UInt8, Float]:
        self._label.use()
        self._label.clear(depth=1.0)
        clip_from_world = view.clip_from_world()
        for thing in self._things:
            self._draw_label(thing, clip_from_world, 0)
        for k, body in enumerate(self._bodies):
            self._draw_label(body, clip_from_world, k + 1)
        (w, h) = view.size
        labels = np.frombuffer(self._label.read(components=1, alignment=1), np.uint8).reshape(h, w)[::-1]
        stored = np.frombuffer(self._depth.read(alignment=1), "f4").reshape(h, w)[::-1].astype(np.float64)
        depth = 2 * FAR * NEAR / (FAR + NEAR - (2 * stored - 1) * (FAR - NEAR))
        return labels.copy(), np.where(stored >= 1.0, 0.0, depth)

    def _draw_label(self, drawn: dict[str, Any], clip_from_world: Float, label: int) -> None:
        program = self._programs["label" if "texture" in drawn else "body label"]
        if "texture" in drawn:
            drawn["texture"].use(0)
            program["leaf"].value = drawn["leaf"]
        _set(program, "clip_from_world", clip_from_world.T)
        if "label" in program:
            program["label"].value = float(label)
        drawn["label array"].render()


def open_context() -> Any:
    """An OpenGL context without a window. Raises JoshError when there is none."""
    try:
        import moderngl

        return moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]  # its own hints are wrong here
    except Exception as error:  # the library raises bare exceptions for every missing piece
        raise JoshError(
            "Rendering needs OpenGL without a window: pip install moderngl, and on Debian libegl1 and libgl1-mesa-dri."
        ) from error


def _set(program: Any, name: str, value: Float) -> None:
    if name in program:  # a uniform that the compiler found unused is not there
        program[name].write(np.ascontiguousarray(value, "f4").tobytes())


def _wear(program: Any, person: DressedBody) -> None:
    """Set the shader's uniforms for this person's clothes: lengths on the rest pose, and colours."""
    rest, colors = person.joints, person.colors
    shoulder, wrist, ankle, knee = rest[16, 0], rest[20, 0], rest[7, 1], rest[4, 1]
    for name, color in (("skin", colors.skin), ("hair", colors.hair), ("shirt", colors.shirt),
                        ("printed", colors.print), ("trousers", colors.trousers), ("shoes", colors.shoes)):  # fmt: skip
        _set(program, name, color)
    for name, value in (
        ("neck", rest[12, 1] + 0.02),
        ("waist", rest[3, 1] - 0.02),
        ("trouser_end", knee - colors.leg * (knee - ankle)),
        ("shoe_top", ankle + 0.015),
        ("sleeve_end", shoulder + colors.sleeve * (wrist - shoulder)),
        ("hairline", colors.hair_length),
        ("pattern", float(colors.pattern)),
    ):
        if name in program:
            program[name].value = float(value)
    _set(program, "chest", rest[9] + [0, 0.08, 0.1])
    _set(program, "marks", person.marks)


def _sun_view(sun: Float, low: Float, high: Float) -> Float:
    """Orthographic projection [4,4] along the sun's rays of all that lies in the box low to high [3]."""
    z = -sun / np.linalg.norm(sun)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    turn = np.stack([x, np.cross(z, x), z])
    corners = np.array([[a, b, c] for a in (low[0], high[0]) for b in (low[1], high[1]) for c in (low[2], high[2])])
    rays = corners @ turn.T
    first, last = rays.min(0) - 0.3, rays.max(0) + 0.3
    out = np.eye(4)
    scale = 2 / (last - first)
    out[:3, :3] = scale[:, None] * turn
    out[:3, 3] = -(first + last) / 2 * scale
    return out
