#!/bin/sh
# Take pip and its relatives out of a Python image: nothing can be installed into a running container.
# The public image has them in /usr/local, Debian's Python in /usr. Files in lower layers stay there;
# what a container sees is what counts.
set -eu
for lib in /usr/local/lib/python3* /usr/lib/python3*; do
  [ -d "$lib" ] || continue
  rm -rf "$lib"/ensurepip
  for at in "$lib"/site-packages "$lib"/dist-packages; do
    [ -d "$at" ] || continue
    rm -rf "$at"/pip "$at"/pip-* "$at"/setuptools "$at"/setuptools-* "$at"/pkg_resources \
      "$at"/wheel "$at"/wheel-* "$at"/_distutils_hack "$at"/distutils-precedence.pth
  done
done
rm -rf /usr/local/bin/pip* /usr/bin/pip* /usr/local/bin/wheel /usr/bin/wheel /usr/share/python-wheels
for tool in cc gcc g++ make ld pip pip3; do
  if command -v "$tool" >/dev/null; then
    echo "$tool is still here" >&2
    exit 1
  fi
done
