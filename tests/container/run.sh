#!/usr/bin/env bash
# Builds the Dockerfile and runs what docs/container.md shows, without Docker and without its registry.
#
#   sudo apt-get install buildah curl mmdebstrap
#   sudo tests/container/run.sh
#
# The official image debian:trixie-slim can't be had everywhere: in its place is a minimal Debian of the same release,
# made from Debian's packages. Commands run in the image's files as its user, but in a chroot instead of a container of
# their own. It takes minutes, and needs root, so it is no part of `make test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/container address=127.0.0.1:8799
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot  # these work where overlays and cgroups don't
rm -rf "$build"
mkdir -p "$build"/{models,here,there/container}

echo "== the base image"
mmdebstrap --quiet --variant=minbase trixie "$build/debian.tar"
base=$(buildah from scratch)
buildah add --quiet "$base" "$build/debian.tar" / >/dev/null
buildah commit --quiet --rm "$base" docker.io/library/debian:trixie-slim >/dev/null

echo "== the Dockerfile"
printf '[global]\ncert = /srv/certificates\n' >"$build/pip.conf"  # behind a proxy pip needs this machine's
buildah build --quiet --pull-never --network host --tag ser-edge \
  --volume /etc/ssl/certs/ca-certificates.crt:/srv/certificates:ro \
  --volume "$PWD/$build/pip.conf:/etc/pip.conf:ro" . >/dev/null
container=$(buildah from --pull-never localhost/ser-edge)
trap 'buildah rm "$container" >/dev/null' EXIT
run() {
  buildah run --volume "$PWD/tests/sounds:/sounds:ro" "$container" -- "$@"
}

echo "== its size in MB, and who runs it"
du -sxm "$(buildah mount "$container")" | cut -f1
run id

echo "== a folder"
run ser-edge .
for model in edge/ser_edge/models/bundled/*.tflite; do  # ONNX Runtime is no part of it
  name=${model##*/}
  cp "$model" "$build/models"
  .venv/bin/ser-edge --format json --model "$model" tests/sounds >"$build/here/$name.json"
  run ser-edge --format json --model "$name" . >"$build/there/container/$name.json"
done
.venv/bin/python tests/arm64/compare.py "$build/models" "$build/here" "$build/there"

echo "== standard input"
run ser-edge --timeline - <tests/sounds/plain.wav

echo "== a microphone, where there is none"
run ser-edge --list-devices || [ $? = 3 ]

echo "== a server, until it is stopped"
run ser-edge --serve "$address" &
get=(curl --silent --retry-max-time 30 --show-error --fail --retry 30 --retry-connrefused --retry-delay 1)
"${get[@]}" "http://$address/healthz"
"${get[@]}" --data-binary @tests/sounds/plain.wav "http://$address/v1/predict"
pkill -TERM -f "^/opt/ser-edge/bin/python.* --serve $address"
wait $!  # with its exit code, 0
