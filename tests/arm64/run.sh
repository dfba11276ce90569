#!/usr/bin/env bash
# Puts the wheel on an emulated 64-bit ARM Debian and asks it what this machine is asked: the answers must agree.
#
#   sudo apt-get install mmdebstrap qemu-user-static
#   sudo tests/arm64/run.sh [MODEL FILE...]
#
# Debian 12 and 13 are what Raspberry Pi OS is made of; a Cortex-A72 is a Pi 4's processor, a Cortex-A76 a Pi 5's. The
# bundled models are asked always, and the model files that are given. Everything that is asked is real ARM code: Debian's
# Python, and the wheels that pip chooses for it. The emulator says nothing of its speed; it takes minutes, and needs root,
# so it is no part of `make test`. What is made stays in build/arm64.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/arm64
rm -rf "$build"
mkdir -p "$build/models" "$build/here"
cp edge/ser_edge/models/bundled/*.{onnx,tflite} "$@" "$build/models"

binfmt=/proc/sys/fs/binfmt_misc  # where the kernel is told of the emulator, unless systemd did that
[ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt
if [ ! -e $binfmt/qemu-aarch64 ]; then
  cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
  trap 'echo -1 >$binfmt/qemu-aarch64' EXIT
fi

.venv/bin/python -m build --wheel --outdir "$build" . >/dev/null
for model in "$build"/models/*; do
  .venv/bin/python -m ser_edge --format json --model "$model" tests/sounds >"$build/here/${model##*/}.json"
done

platforms=(--platform manylinux2014_aarch64)
for minor in {17..36}; do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done  # Debian 12 has glibc 2.36

for system in bookworm:3.11 trixie:3.13; do
  python=${system#*:} root=$build/${system%:*}
  echo "== ${system%:*}, Python $python"
  mmdebstrap --quiet --arch=arm64 --variant=extract \
    --include=base-files,coreutils,dash,grep,libc-bin,libportaudio2,mount,python3 "${system%:*}" "$root"
  chroot "$root" ldconfig
  install=(.venv/bin/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
    --only-binary :all: --python-version "$python" "${platforms[@]}")
  "${install[@]}" --target "$root/opt/ser-edge" "$build"/*.whl
  "${install[@]}" --target "$root/opt/onnxruntime" --no-deps onnxruntime packaging
  mkdir -p "$root/ask" "$root/out"
  cp -r "$build/models" tests/sounds tests/arm64/inside.sh tests/arm64/cpuinfo "$root/ask"
  inside=(chroot "$root" env -i HOME=/root LANG=C.UTF-8 PYTHONPATH=/opt/ser-edge PATH=/usr/bin:/bin:/usr/sbin:/sbin)
  unshare --mount "${inside[@]}" sh /ask/inside.sh
  echo "-- without /proc and /sys"
  "${inside[@]}" python3 -m ser_edge --version
  "${inside[@]}" python3 -m ser_edge /ask/sounds/plain.wav
  .venv/bin/python tests/arm64/compare.py "$build/models" "$build/here" "$root/out"
done
