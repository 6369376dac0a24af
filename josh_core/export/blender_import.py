"""Opens a result in Blender (4.0 or newer) with its camera, and the clip behind it as the camera's background.

Beside this file lie result.glb and, if it was exported, clip.mp4. In Blender: Scripting, Open, this file, Run; or
    blender --python blender_import.py
With the name of an FBX file it converts: people with skeletons, place and camera, animated, pictures inside. Blender
writes FBX's usual centimetres.
    blender --background --python blender_import.py -- result.fbx
The clip to put behind the camera is this clip.mp4, whose lens distortion is taken out, not the film as it was recorded.
Blender's own importer turns the result's +Y up into Blender's +Z up; units stay metres.
"""

import json
import struct
import sys
from pathlib import Path
from typing import Any

import bpy


def own_folder() -> Path:
    """Folder of this script; in Blender's text editor it is known by the open text, not by __file__."""
    script = Path(__file__)
    if script.exists():
        return script.resolve().parent
    text = bpy.data.texts[script.name]
    return Path(bpy.path.abspath(text.filepath)).parent


def facts(path: Path) -> dict[str, Any]:
    """Frame rate, number of frames, width and height from the .glb's extras."""
    with open(path, "rb") as file:
        file.seek(12)
        size = struct.unpack("<I", file.read(4))[0]
        file.seek(20)
        return json.loads(file.read(size))["asset"]["extras"]


def set_up_scene(about: dict[str, Any]) -> Any:
    """Set the frame rate before the import: the importer converts the file's seconds to frames with it."""
    scene = bpy.context.scene
    fps = about["fps"]
    scene.render.fps = max(1, round(fps))
    scene.render.fps_base = scene.render.fps / fps
    scene.frame_start, scene.frame_end = 0, about["frames"] - 1
    scene.render.resolution_x, scene.render.resolution_y = about["width"], about["height"]
    return scene


def add_background(camera: Any, clip: Path) -> None:
    """Show the clip's frames as the background of the camera."""
    data = camera.data
    data.show_background_images = True
    background = data.background_images.new()
    background.source = "MOVIE_CLIP"
    background.clip = bpy.data.movieclips.load(str(clip))
    background.clip.frame_start = 0
    background.alpha = 1.0


def lit(material: Any) -> None:
    """Give a material that only glows with its picture a surface with that picture: FBX keeps no other."""
    nodes = {node.type: node for node in material.node_tree.nodes}
    if "TEX_IMAGE" not in nodes or "BSDF_PRINCIPLED" in nodes:
        return
    surface = material.node_tree.nodes.new("ShaderNodeBsdfPrincipled")
    link = material.node_tree.links.new
    link(nodes["TEX_IMAGE"].outputs["Color"], surface.inputs["Base Color"])
    link(surface.outputs["BSDF"], nodes["OUTPUT_MATERIAL"].inputs["Surface"])


def save_fbx(path: Path) -> None:
    """Write everything but the scene's points, which FBX cannot hold, as `path` (.fbx)."""
    for material in bpy.data.materials:
        if material.node_tree:
            lit(material)
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        object_types={"ARMATURE", "CAMERA", "EMPTY", "MESH"},
        add_leaf_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        path_mode="COPY",
        embed_textures=True,
    )


def main() -> None:
    """Import result.glb, switch to its camera, set clip.mp4 as its background, and write the FBX that is asked for."""
    folder = own_folder()
    path = folder / "result.glb"
    scene = set_up_scene(facts(path))
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(path))
    camera = next(o for o in bpy.data.objects if o not in before and o.type == "CAMERA")
    scene.camera = camera
    if (folder / "clip.mp4").exists():
        add_background(camera, folder / "clip.mp4")
    scene.frame_set(0)
    for name in sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []:
        save_fbx(Path(name).resolve())


main()
