"""Sequences in the room, written in each layout."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
from rgbd_rooms import (
    POSES,
    SMALL,
    Camera,
    pixel_rays,
    quaternion_of,
    render,
    rotation_vector_of,
    text_of,
    write_colour,
    write_depth,
)

from mimic import opencv

TWO = POSES[1:3]
VGA = (640, 480)


def plain(root: Path, poses=POSES, camera=SMALL, depth_suffix=".png", names=False) -> Camera:
    lines = []
    for i, pose in enumerate(poses):
        rgb, depth = render(camera, pose)
        write_colour(root / "images" / f"{i:05d}.png", rgb)
        write_depth(root / "depth" / f"{i:05d}{depth_suffix}", depth)
        lines.append(" ".join([f"{i:05d}"] * names + [f"{v:.9g}" for v in pose.ravel()]))
    fx, fy, cx, cy = camera.k
    (root / "poses.txt").write_text("\n".join(lines) + "\n")
    (root / "K.txt").write_text(f"{fx} 0 {cx}\n0 {fy} {cy}\n0 0 1\n")
    return camera


def tum(root: Path, k=(535.4, 539.2, 320.1, 247.6), distortion=None) -> Camera:
    camera = Camera(k, VGA)
    rays = None if distortion is None else _undistorted(pixel_rays(camera), distortion)
    rgb_lines, depth_lines, truth = ["# colour"], ["# depth"], ["# stamp tx ty tz qx qy qz qw"]
    for i, pose in enumerate(TWO):
        stamp = 1305031102.175304 + 0.1 * i
        rgb, depth = render(camera, pose, rays)
        write_colour(root / f"rgb/{stamp:.6f}.png", rgb)
        write_depth(root / f"depth/{stamp + 0.011:.6f}.png", depth, 5000)
        rgb_lines.append(f"{stamp:.6f} rgb/{stamp:.6f}.png")
        depth_lines.append(f"{stamp + 0.011:.6f} depth/{stamp + 0.011:.6f}.png")
        for late, moved in ((-0.008, 0.0), (-0.03, 0.5), (0.04, 0.5)):  # the nearest is right
            values = [*(pose[:3, 3] + moved), *quaternion_of(pose[:3, :3])]
            truth.append(f"{stamp + late:.4f} " + " ".join(f"{v:.7f}" for v in values))
    for name, lines in (("rgb", rgb_lines), ("depth", depth_lines), ("groundtruth", truth)):
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return camera


def _undistorted(rays, distortion):
    """Rays whose distorted images are the given ones, by fixed-point iteration."""
    k1, k2, p1, p2, k3 = distortion
    x, y = x0, y0 = rays[..., 0], rays[..., 1]
    for _ in range(60):
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        x, y = (
            (x0 - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial,
            (y0 - p1 * (r2 + 2 * y * y) - 2 * p2 * x * y) / radial,
        )
    return np.stack([x, y, np.ones(x.shape)], axis=-1)


def scannet(root: Path) -> Camera:
    """Depth of another size and another field of view; names without leading zeros."""
    colour = Camera((117.0, 117.5, 64.3, 48.2), (130, 97))
    depth_camera = Camera((50.8, 51.9, 32.5, 22.5), (64, 48))
    for i, pose in enumerate(POSES):
        write_colour(root / f"color/{9 + i}.jpg", render(colour, pose)[0])
        write_depth(root / f"depth/{9 + i}.png", render(depth_camera, pose)[1])
        (root / "pose").mkdir(exist_ok=True)
        (root / f"pose/{9 + i}.txt").write_text(text_of(pose))
    (root / "intrinsic").mkdir()
    for name, camera in (("color", colour), ("depth", depth_camera)):
        k = np.eye(4)
        k[:3, :3] = camera.continuous
        k[:2, 2] -= 0.5
        (root / f"intrinsic/intrinsic_{name}.txt").write_text(text_of(k))
    return colour


def sens(root: Path) -> Camera:
    colour, deep = (
        Camera((117.0, 117.5, 64.3, 48.2), (130, 97)),
        Camera((50.8, 51.9, 32.5, 22.5), (64, 48)),
    )
    matrices = []
    for camera in (colour, deep):
        k = np.eye(4)
        k[:3, :3] = camera.continuous
        k[:2, 2] -= 0.5
        matrices += [k, np.eye(4)]
    name = b"StructureSensor"
    data = struct.pack("<IQ", 4, len(name)) + name + np.array(matrices, "<f4").tobytes()
    data += struct.pack("<ii4IfQ", 2, 1, *colour.size, *deep.size, 1000.0, len(POSES))
    for i, pose in enumerate(POSES):
        jpeg = opencv.encode_jpeg(render(colour, pose)[0], 98)
        depth = zlib.compress(np.rint(render(deep, pose)[1] * 1000).astype("<u2").tobytes())
        data += pose.astype("<f4").tobytes()
        data += struct.pack("<4Q", i * 33_000 + 1, i * 33_000 + 1, len(jpeg), len(depth))
        data += jpeg + depth
    root.mkdir(parents=True, exist_ok=True)
    (root / "scene0000_00.sens").write_bytes(data + b"imu frames follow")
    return colour


def seven_scenes(root: Path) -> Camera:
    """Colour and depth cameras of different focal lengths at one place."""
    colour, deep = Camera((525, 525, 319.5, 239.5), VGA), Camera((585, 585, 319.5, 239.5), VGA)
    for i, pose in enumerate(TWO):
        write_colour(root / f"frame-{i:06d}.color.png", render(colour, pose)[0])
        depth = render(deep, pose)[1]
        depth[:7] = 65.535
        write_depth(root / f"frame-{i:06d}.depth.png", depth)
        (root / f"frame-{i:06d}.pose.txt").write_text(text_of(pose))
    return colour


def arkit(root: Path) -> Camera:
    size, scale = (256, 192), 7.5
    camera = Camera((212.0, 212.0, 128.2 - 0.5, 95.7 - 0.5), size)
    lines = []
    for i, pose in enumerate(TWO):
        stamp = 305.377 + 0.1 * i
        rgb, depth = render(camera, pose)
        write_colour(root / f"lowres_wide/41069021_{stamp:.3f}.png", rgb)
        write_depth(root / f"lowres_depth/41069021_{stamp:.3f}.png", depth)
        pincam = root / f"lowres_wide_intrinsics/41069021_{stamp + 0.001:.3f}.pincam"
        pincam.parent.mkdir(exist_ok=True)
        # Half a pixel of the large picture is missing, as in the data set.
        shrunk = [128.2 - 0.5 / scale, 95.7 - 0.5 / scale]
        pincam.write_text(" ".join(f"{v:.9g}" for v in [*size, 212.0, 212.0, *shrunk]))
        back = np.linalg.inv(pose)
        values = [stamp + 0.0004, *rotation_vector_of(back[:3, :3]), *back[:3, 3]]
        lines.append(" ".join(f"{v:.9g}" for v in values))
    (root / "lowres_wide.traj").write_text("\n".join(lines))
    write_depth(root / "confidence/41069021_305.377.png", np.zeros((192, 256)))
    return camera


def redwood(root: Path) -> Camera:
    camera = Camera((525, 525, 319.5, 239.5), VGA)
    log = []
    for i, pose in enumerate(TWO):
        rgb, depth = render(camera, pose)
        write_colour(root / f"image/{i + 1:06d}-{33_000 * i:012d}.jpg", rgb)
        write_depth(root / f"depth/{i + 1:06d}-{33_000 * i + 9_000:012d}.png", depth)
        log.append(f"{i}\t{i}\t{i + 1}\n{text_of(pose)}")
    (root / "trajectory.log").write_text("".join(log))
    (root / "odometry.log").write_text("not this one")
    return camera


def icl_nuim(root: Path) -> Camera:
    """The room seen by a camera whose y axis points up, in a left-handed world: y is mirrored."""
    camera = Camera((481.2, 480.0, 319.5, 239.5), VGA)
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    lines = []
    for i, pose in enumerate(TWO, 1):
        rgb, depth = render(camera, pose)
        write_colour(root / f"rgb/{i}.png", rgb)
        write_depth(root / f"depth/{i}.png", depth, 5000)
        theirs = mirror @ pose @ mirror
        values = [*theirs[:3, 3], *quaternion_of(theirs[:3, :3])]
        lines.append(f"{i} " + " ".join(f"{v:.9g}" for v in values))
    (root / "livingRoom1.gt.freiburg").write_text("\n".join(lines) + "\n")
    return camera


def colmap(root: Path, binary: bool = True, model: str = "PINHOLE", extra: float = 0.0) -> Camera:
    camera = SMALL if model == "PINHOLE" else Camera((51.0, 51.0, 30.5, 24.0), (64, 48))
    fx, fy, cx, cy = camera.k
    parameters = (
        [fx, fy, cx + 0.5, cy + 0.5] if model == "PINHOLE" else [fx, cx + 0.5, cy + 0.5, extra]
    )
    images = []
    for i, pose in enumerate(POSES):
        rgb, depth = render(camera, pose)
        name = f"cam/{i}.png"
        write_colour(root / "images" / name, rgb)
        path = root / f"stereo/depth_maps/{name}.geometric.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = depth.shape
        path.write_bytes(f"{width}&{height}&1&".encode() + depth.astype("<f4").tobytes())
        path.with_name(f"{i}.png.photometric.bin").write_bytes(b"not this one")
        back = np.linalg.inv(pose)
        x, y, z, w = quaternion_of(back[:3, :3])
        images.append((i + 1, [w, x, y, z, *back[:3, 3]], name))
    (root / "sparse").mkdir()
    if binary:
        number = {"PINHOLE": 1, "SIMPLE_RADIAL": 2}[model]
        data = struct.pack("<QIiQQ", 1, 7, number, *camera.size)
        (root / "sparse/cameras.bin").write_bytes(data + struct.pack("<4d", *parameters))
        data = struct.pack("<Q", len(images))
        for number, pose_values, name in images:
            data += struct.pack("<I7dI", number, *pose_values, 7) + name.encode() + b"\0"
            data += struct.pack("<Q", number) + struct.pack("<ddq", 1.5, 2.5, -1) * number
        (root / "sparse/images.bin").write_bytes(data)
    else:
        text = " ".join(f"{v:.12g}" for v in parameters)
        (root / "sparse/cameras.txt").write_text(f"# c\n7 {model} 64 48 {text}\n")
        lines = ["# two lines an image"]
        for number, pose_values, name in images:
            lines.append(f"{number} " + " ".join(f"{v:.12g}" for v in pose_values) + f" 7 {name}")
            lines.append("" if number == 2 else "1.5 2.5 -1")
        (root / "sparse/images.txt").write_text("\n".join(lines) + "\n")
    return camera


def driving(root: Path) -> Camera:
    """Two cameras on a vehicle, and another scene in the same log."""
    lines = []
    mount = {"FRONT": np.eye(4), "LEFT": np.eye(4)}
    mount["LEFT"][:3, 3] = [0.3, 0.0, 0.1]
    for i, pose in enumerate(POSES):
        name = ("FRONT", "LEFT")[i % 2]
        rgb, depth = render(SMALL, pose)
        write_colour(root / f"samples/{name}/{i}.png", rgb)
        write_depth(root / f"depth/{name}/{i}.npy", depth)
        fx, fy, cx, cy = SMALL.k
        lines.append(
            {
                "scene": "a" if i < 3 else "b",
                "camera": name,
                "timestamp": 10.0 + i,
                "image": f"samples/{name}/{i}.png",
                "depth": f"depth/{name}/{i}.npy",
                "K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
                "cam_to_ego": mount[name].tolist(),
                "ego_to_world": (pose @ np.linalg.inv(mount[name])).tolist(),
            }
        )
    (root / "rgbd.jsonl").write_text("\n".join(json.dumps(line) for line in reversed(lines)))
    return SMALL
