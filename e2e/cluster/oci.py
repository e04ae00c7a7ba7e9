#!/usr/bin/env python3
"""oci.py OUT.tar NAME:TAG CONFIG PATH=FILE... PATH->TARGET...

Writes an OCI archive of one layer over nothing (FROM scratch) from files of this machine: what `docker save` would give, without docker.
CONFIG is a JSON object of the image's configuration (Entrypoint, Cmd). The same input gives the same bytes, so an image whose digest did not change is not imported
again. The layer is not compressed: it never leaves the machine, and importing is faster so.
"""
import hashlib
import io
import json
import os
import sys
import tarfile


def add(tar, name, data=b"", mode=0o755, kind=tarfile.REGTYPE, link=""):
    """One entry with no owner, no time: nothing in it depends on when or by whom it was made."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type, entry.linkname = len(data), mode, kind, link
    tar.addfile(entry, io.BytesIO(data) if kind == tarfile.REGTYPE else None)


def layer(files):
    """The root file system: the given files and links, and the folders a container runtime mounts over."""
    out, seen = io.BytesIO(), set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def folders(path):
            parent = os.path.dirname(path)
            if parent and parent not in seen:
                folders(parent)
                seen.add(parent)
                add(tar, parent, kind=tarfile.DIRTYPE, mode=0o1777 if parent == "tmp" else 0o755)

        for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var"):
            folders(name + "/x")
        for spec in files:
            if "->" in spec:
                path, target = spec.split("->", 1)
                path = path.lstrip("/")
                folders(path)
                add(tar, path, kind=tarfile.SYMTYPE, link=target)
            else:
                path, source = spec.split("=", 1)
                path = path.lstrip("/")
                folders(path)
                with open(source, "rb") as file:
                    add(tar, path, file.read(), 0o755 if os.access(source, os.X_OK) else 0o644)
    return out.getvalue()


def main(out, reference, settings, *files):
    digest = lambda data: "sha256:" + hashlib.sha256(data).hexdigest()
    descriptor = lambda media, data: {"mediaType": "application/vnd.oci.image." + media, "digest": digest(data), "size": len(data)}
    blob = lambda value: json.dumps(value, sort_keys=True).encode()

    root = layer(files)
    config = blob({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"]} | json.loads(settings),
        "rootfs": {"type": "layers", "diff_ids": [digest(root)]},
    })
    manifest = blob({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config),
        "layers": [descriptor("layer.v1.tar", root)],
    })
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1]}
    index = blob({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor("manifest.v1+json", manifest) | {"annotations": names}],
    })
    with tarfile.open(out, "w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', 0o644)
        add(tar, "index.json", index, 0o644)
        for data in (config, root, manifest):
            add(tar, "blobs/sha256/" + digest(data)[7:], data, 0o644)
    print(digest(manifest))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
