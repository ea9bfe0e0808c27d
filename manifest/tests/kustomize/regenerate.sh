#!/bin/sh
# Writes what kubectl makes of each case into its expected.yaml. Needs kubectl (1.32, with kustomize
# 5.5) on the PATH. Look at the difference before you commit it: it is what Dugout will be held to.
set -eu
cd "$(dirname "$0")"
for case in */; do
    case=${case%/}
    folder=$case
    if [ -d "$case/overlay" ]; then folder=$case/overlay; fi
    echo "$case"
    kubectl kustomize "$folder" >"$case/expected.yaml.new" 2>"$case/said" || {
        cat "$case/said"
        exit 1
    }
    rm -f "$case/said"
    mv "$case/expected.yaml.new" "$case/expected.yaml"
done
