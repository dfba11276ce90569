# Runs in the emulated system, and leaves answers in /out for compare.py.
set -eu
cd /ask

ser_edge() {
  python3 -m ser_edge "$@"
}

# fails CODE TEXT COMMAND...: it must exit so, and its only line of errors begin so.
fails() {
  code=$1 text=$2 got=0
  shift 2
  "$@" >/out/stdout 2>/out/stderr || got=$?
  if [ "$got" != "$code" ] || [ "$(grep -c . /out/stderr)" != 1 ] || ! grep "^$text" /out/stderr; then
    echo "exit code $got, not $code with: $text"
    cat /out/stdout /out/stderr
    exit 1
  fi
}

# as PROCESSOR: what the kernel of a Raspberry Pi says of it, for the libraries that ask. The one underneath tells of
# the machine that emulates, and LiteRT crashes where an ARM processor has the caches of another.
as() {
  export QEMU_CPU="$1"
  umount /proc/cpuinfo 2>/dev/null || true
  mount --bind "cpuinfo/$1" /proc/cpuinfo
}

mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /sys
mkdir -p /sys/devices/system/cpu
for list in kernel_max:3 possible:0-3 present:0-3; do echo "${list#*:}" >"/sys/devices/system/cpu/${list%:*}"; done

as cortex-a72
echo "-- ser-edge --doctor"
ser_edge --doctor || [ $? = 3 ]  # there is no microphone here
echo "-- without ONNX Runtime"
fails 4 "ser-edge: onnxruntime can't be loaded (No module named 'onnxruntime'); try: .* -m pip install 'onnxruntime>=1.20'" \
  ser_edge --model crnn.onnx sounds

PYTHONPATH=$PYTHONPATH:/opt/onnxruntime
for processor in cortex-a72 cortex-a76; do
  as $processor
  mkdir -p "/out/$processor"
  for model in models/*; do
    ser_edge --format json --model "$model" sounds >"/out/$processor/${model##*/}.json"
  done
  echo "-- $processor, windows"
  ser_edge --timeline sounds/plain.wav  # through the voice detector
done

echo "-- libraries that don't load"
mkdir -p broken/onnxruntime broken/ai_edge_litert
for library in broken/*; do echo 'raise ImportError("wrong ELF class")' >$library/__init__.py; done
PYTHONPATH=broken:$PYTHONPATH
fails 4 "ser-edge: onnxruntime can't be loaded (wrong ELF class); try:" ser_edge --model crnn.onnx sounds
rm -r broken/onnxruntime
fails 0 "ai_edge_litert can't be loaded (wrong ELF class); .*; using crnn.onnx meanwhile" \
  ser_edge --model small --no-gate --format json sounds
