# Sourced by the other scripts: installs what is missing and builds what they need. Debian or Ubuntu, as root.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
export PATH="$top/node_modules/.bin:$PATH"

# say TEXT: a headline, coloured on a terminal only.
say() {
  if [ -t 1 ]; then printf '\n\033[1;36m== %s\033[0m\n' "$*"; else printf '\n== %s\n' "$*"; fi
}

# need_packages PACKAGE...: those that are not installed are, without starting any service of theirs.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || { echo "these packages are missing, and only root can install them: ${missing[*]}" >&2; exit 1; }
  say "installing ${missing[*]}"
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; fi
  # Lists are fetched only when the packages are not known yet.
  apt-cache show "${missing[@]}" >/dev/null 2>&1 || apt-get update -qq
  local status=0
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return $status
}

# forget_cgroups: removes the group that containers are in by default, unless another engine has some there.
forget_cgroups() {
  rmdir /sys/fs/cgroup/gantry /sys/fs/cgroup/*/gantry 2>/dev/null || true
}

# What the engine itself runs on.
need_engine() {
  need_packages crun runc libnftables1 procps ca-certificates
}

# bun and the npm dependencies, then dist/gantry.
need_build() {
  need_packages gcc libc6-dev musl-tools
  command -v npm >/dev/null || need_packages npm
  if [ ! -x node_modules/.bin/bun ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "installing npm dependencies"
    npm ci --no-audit --no-fund --loglevel=error
  fi
  # Built again only when a source is newer.
  if [ ! -x dist/gantry ] || [ -n "$(find src monitor script/build script/build-monitor package-lock.json -newer dist/gantry -print -quit)" ]; then
    say "building dist/gantry"
    script/build
  fi
}
