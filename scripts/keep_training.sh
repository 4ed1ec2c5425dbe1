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
    local run state name
    for run in "$1"/*/; do
        [ -f "$run/config.json" ] || continue
        name=$(basename "$run")
        rm -rf "${2:?}/$name"
        mkdir -p "$2/$name"
        (cd "$run" && cp --parents -t "$OLDPWD/$2/$name" ./*.json events.jsonl)
        (cd "$run" && find . -name scores.parquet -o -name evaluation.json) |
            (cd "$run" && xargs -r cp --parents -t "$OLDPWD/$2/$name")
        if [ -f "$run/model.safetensors" ]; then
            cp "$run/model.safetensors" "$2/$name"
        else
            state=$(find "$run/checkpoints" -name 'state-*.pt' 2>/dev/null | sort | tail -1)
            [ -z "$state" ] || { mkdir "$2/$name/checkpoints" && cp "$state" "${state%.pt}.sha256" "$2/$name/checkpoints"; }
        fi
    done
    du -sh "$2"
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
