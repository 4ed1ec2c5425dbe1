#!/usr/bin/env bash
# Keep what trainings have reached, in a form small enough for Git, and take it back.
#
#     scripts/keep_training.sh keep RUNS KEPT     copies run folders: records, scores, weights, and the
#                                                 newest state of a training that is not finished
#     scripts/keep_training.sh take KEPT RUNS     copies back the run folders that RUNS does not have
#
# Sounds stay out: an evaluation of finished weights makes them again.
set -euo pipefail

keep() {
    local run
    for run in "$1"/*/; do
        [ ! -f "$run/config.json" ] || keep_run "$run" "$2/$(basename "$run")"
    done
    du -sh "$2"
}

# The copy is whole or not there: it is made beside its place and then moved.
keep_run() {
    local new=$2.new state
    rm -rf "$new"
    mkdir -p "$new"
    new=$(realpath "$new")
    (
        cd "$1"
        cp -t "$new" ./*.json events.jsonl
        find . -name 'uncommitted-*.patch' -exec cp -t "$new" {} +
        find . \( -name scores.parquet -o -name evaluation.json \) -exec cp --parents -t "$new" {} +
        if [ -f model.safetensors ]; then
            cp -t "$new" model.safetensors
        else
            state=$(find . -path './checkpoints/state-*.pt' | sort | tail -1)
            [ -z "$state" ] || cp --parents -t "$new" "$state" "${state%.pt}.sha256"
        fi
    )
    rm -rf "${2:?}"
    mv "$new" "$2"
}

take() {
    mkdir -p "$2"
    for run in "$1"/*/; do
        [ -e "$2/$(basename "$run")" ] || cp -r "$run" "$2"
    done
}

case "${1:-}" in
    keep | take) "$1" "$2" "$3" ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
