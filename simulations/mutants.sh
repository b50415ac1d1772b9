#!/usr/bin/env bash
# Bug seeding: puts each deliberate bug of `simulations/mutants/` into a copy of this tree, and looks whether
# the simulator finds it. Standard output is a table with a line for each bug:
#
#   caught NAME check CHECK seed SEED in SECONDS s
#   ESCAPED NAME                                      no seed failed in time
#   STALE NAME                                        its patch does not apply, or what it makes does not build
#
# A seed counts only if it is clean without the bug. First those are tried that caught it before, from the table
# `simulations/mutants/seeds`, then others from 1 on. `--record` writes the ones that caught it now into that table.
#
# The copy has what is not committed too, and lies with its build under $TMPDIR, where it may be deleted at any
# time. Exit status: 0 all caught, 1 one escaped or is stale, 2 wrong usage or a tree that does not build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage="usage: simulations/mutants.sh [--record] [--seconds N] [NAME …]"
mutants=$PWD/simulations/mutants
table=$mutants/seeds
# So long seeds are tried that never caught the bug.
seconds=100
# Runs at a time, and in one go: a run takes half a second to a second.
jobs=2
batch=16
# A run that takes longer than this hangs, and one that takes more memory leaks.
longest=60
memory=$((4 * 1024 * 1024))

record=
names=()
while [ $# -gt 0 ]; do
  case $1 in
  --record) record=1 ;;
  --seconds)
    [[ ${2:-} =~ ^[0-9]+$ ]] || { echo "$usage" >&2 && exit 2; }
    seconds=$2
    shift
    ;;
  -*)
    echo "$usage" >&2
    exit 2
    ;;
  *)
    name=$(basename "$1" .patch)
    if [ ! -f "$mutants/$name.patch" ]; then
      echo "error: there is no bug \`$name\` in simulations/mutants" >&2
      exit 2
    fi
    names+=("$name")
    ;;
  esac
  shift
done
if [ ${#names[@]} -eq 0 ]; then
  for patch in "$mutants"/*.patch; do
    names+=("$(basename "$patch" .patch)")
  done
fi

# Where the bugs are put in. The place is the same each time, so that what was built is of use again.
work=${TMPDIR:-/tmp}/kontena-mutants-$(id -u)
[ -d "$work" ] || mkdir -m 700 "$work"
if [ ! -O "$work" ] || [ -L "$work" ]; then
  echo "error: \`$work\` is somebody else's" >&2
  exit 2
fi
exec 9>"$work/lock"
if ! flock --nonblock 9; then
  echo "error: another run of this script works in \`$work\`" >&2
  exit 2
fi
tree=$work/tree
log=$work/log
unset "${!GIT_@}"

# Files get the time of their copying: an older one would be taken for what was built with a bug in it.
copy_tree() {
  rm -rf "$tree"
  mkdir "$tree"
  git ls-files -z --cached --others --exclude-standard -- . ':!simulations/mutants' |
    while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
    tar --create --null --files-from=- | tar --extract --touch --directory="$tree"
  git -C "$tree" init --quiet
  git -C "$tree" add --all
}

# A compiler that was interrupted leaves parts behind that do not fit together.
build() {
  if [ -e "$work/building" ]; then
    rm -rf "$work/target/mutants/incremental"
  fi
  touch "$work/building"
  local result=0
  compile || result=$?
  rm "$work/building"
  return "$result"
}

compile() {
  (cd "$tree" && cargo build --quiet --locked --profile mutants --package kontena-simulations \
    --bin kontena-simulations --target-dir "$work/target") >"$log" 2>&1 9>&-
}

# `simulate PROGRAM ARGUMENT …`: what it found is in `$log`.
simulate() {
  (ulimit -v "$memory" && timeout --kill-after=5 "$longest" "$@") >"$log" 2>&1 9>&-
}

clean=$work/clean
mutant=$work/target/mutants/kontena-simulations

is_clean() {
  [ -n "${known_clean[$1]:-}" ] || simulate "$clean" replay "$1" --whole && known_clean[$1]=1
}
declare -A known_clean=()

# `replay SEED`: sets `check` if the bug makes the seed fail, and nothing else does.
replay() {
  check=
  if simulate "$mutant" replay "$1" --whole; then
    return 1
  fi
  check=$(sed -n 's/^result  *\([a-z-]*\): .*/\1/p' "$log")
  [ -n "$check" ] && is_clean "$1"
}

# Tries seeds from 1 on, and sets `check` and `seed` if one fails.
sweep() {
  local first=1 until=$((SECONDS + seconds)) found
  while [ "$SECONDS" -lt "$until" ]; do
    if ! simulate "$mutant" sweep --runs "$batch" --jobs "$jobs" --seed "$first"; then
      found=$(sed -n 's/^seed \([0-9]*\): \([a-z-]*\).*/\1 \2/p' "$log")
      while read -r seed check; do
        if [ -n "$seed" ] && is_clean "$seed"; then
          return 0
        fi
      done <<<"$found"
    fi
    first=$((first + batch))
  done
  return 1
}

# `catch NAME`: sets `check` and `seed` if the bug is found.
catch() {
  while read -r seed; do
    if replay "$seed"; then
      return 0
    fi
  done < <(awk -v name="$1" '$1 == name { print $2 }' "$table" 2>/dev/null)
  sweep
}

# The row of a bug in the table, in the place of the one that it had.
keep() {
  {
    awk -v name="$1" '$1 != name' "$table" 2>/dev/null || true
    echo "$1 $2 $3"
  } | sort >"$work/seeds"
  cp "$work/seeds" "$table"
}

copy_tree
echo "building the core without a bug" >&2
if ! build; then
  cat "$log" >&2
  echo "error: this tree does not build" >&2
  exit 2
fi
cp "$mutant" "$clean"

missed=0
for name in "${names[@]}"; do
  begun=$SECONDS
  if ! git -C "$tree" apply -C1 --recount --whitespace=nowarn "$mutants/$name.patch" 2>"$log" || ! build; then
    cat "$log" >&2
    echo "STALE $name"
    missed=$((missed + 1))
  elif built=$SECONDS && catch "$name"; then
    echo "caught $name check $check seed $seed in $((SECONDS - begun)) s"
    echo "$name: $((built - begun)) s to build" >&2
    [ -z "$record" ] || keep "$name" "$seed" "$check"
  else
    echo "ESCAPED $name"
    missed=$((missed + 1))
  fi
  git -C "$tree" checkout --quiet -- .
done
echo "${#names[@]} bugs, $missed not caught" >&2
[ "$missed" -eq 0 ]
