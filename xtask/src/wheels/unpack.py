"""Takes files out of a wheel: WHEEL FOLDER FROM=TO ..., each FROM the beginning of a path in it."""

import os
import shutil
import sys
import zipfile

wheel, folder, *rules = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for begin, to in (rule.split("=") for rule in rules):
        names = [n for n in archive.namelist() if n.startswith(begin) and not n.endswith("/")]
        if not names:
            sys.exit(f"{wheel} holds no {begin}")
        for name in names:
            path = os.path.join(folder, to + name[len(begin):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(name) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
