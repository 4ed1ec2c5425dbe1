#!/usr/bin/env bash
# On the GPU machine: unpack the speech archives in .carry, then run scripts/gpu_run.py.
#   bash scripts/gpu_run.sh --minutes 25 fig2a fig2c
# Results go to $OUT (default: out/gpu). --unpack-only stops after unpacking.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .carry/speech
for parcel in .carry/*/speech.tar; do
  [ -f "$parcel" ] && tar -xf "$parcel" -C .carry/speech && rm "$parcel"
done
[ "${1:-}" = --unpack-only ] && exit 0
export PYTHONPATH=. OMP_NUM_THREADS="${OMP_NUM_THREADS:-8}"
exec "${PYTHON:-python3}" scripts/gpu_run.py --out "${OUT:-out/gpu}" --speech .carry/speech "$@"
