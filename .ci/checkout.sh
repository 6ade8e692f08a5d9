# Sourced by run and nightly: readers to test against, a checkout of its own with no .venv, and how
# long each step took.
set -euo pipefail
cd "$(dirname "$0")/.."

names=()
begun=()
begin() {
    names+=("$1")
    begun+=("$SECONDS")
    echo "== $1 =="
}
finish() {
    local status=$? n
    begun+=("$SECONDS")
    echo "== seconds =="
    for n in "${!names[@]}"; do
        printf '%6d  %s\n' "$((begun[n + 1] - begun[n]))" "${names[n]}"
    done
    printf '%6d  in all\n' "$SECONDS"
    [ "$status" = 0 ] || echo "failed in the last of these steps" >&2
    [ -z "${checkout:-}" ] || rm -rf "$checkout"
}
trap finish EXIT

begin "readers and a fresh clone"
# ncdump is one of the readers that the run file is tested against; the report is tested in Chromium.
wanted=
command -v ncdump >/dev/null || wanted="netcdf-bin"
command -v chromium >/dev/null || wanted="$wanted chromium"
if [ -n "$wanted" ]; then
    # shellcheck disable=SC2086
    { [ "$(id -u)" = 0 ] && export DEBIAN_FRONTEND=noninteractive &&
        timeout 120 apt-get update -qq && timeout 300 apt-get install -y -qq $wanted >/dev/null; } ||
        echo "not to be had, so that their tests skip: $wanted"
fi
checkout=$(mktemp -d)
git clone --quiet . "$checkout/heatcap"
cd "$checkout/heatcap"
