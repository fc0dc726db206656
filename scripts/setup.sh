#!/bin/sh
# Finds what Postroom needs on this machine and installs what is missing.
# Usage: setup.sh build | test
# On Debian and Ubuntu it uses apt-get, as root or through sudo, and says what
# and why. Elsewhere it lists what is missing and stops.
set -eu
level=${1:-build}

if ! command -v go >/dev/null 2>&1; then
	echo "set-up: Go is missing. Postroom needs Go 1.26 or newer: https://go.dev/dl" >&2
	exit 1
fi

compiler="gcc libc6-dev pkg-config"
window="libgl-dev libx11-dev libxrandr-dev libxxf86vm-dev libxi-dev libxcursor-dev libxinerama-dev libwayland-dev libxkbcommon-dev"
run="libgl1 libgl1-mesa-dri libxcursor1 libxi6 libxinerama1 libxrandr2 libxxf86vm1 libxrender1 libxext6 libwayland-client0 libwayland-cursor0 libwayland-egl1 libxkbcommon0 ca-certificates"
tests="xvfb openbox xdotool xclip imagemagick gnome-keyring dbus dbus-x11 python3 apt dpkg procps"

want="$compiler $window $run"
[ "$level" = test ] && want="$want $tests"

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "set-up: this is not Debian or Ubuntu, so nothing was installed. Postroom needs a C compiler and the headers of" >&2
	echo "set-up: OpenGL, X11 (with Xrandr, Xxf86vm, Xi, Xcursor, Xinerama), Wayland and xkbcommon." >&2
	[ "$level" = test ] && echo "set-up: its tests also need: $tests" >&2
	command -v cc >/dev/null 2>&1 || exit 1
	exit 0
fi

have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u)
missing=""
for p in $want; do
	printf '%s\n' "$have" | grep -qx "$p" || missing="$missing $p"
done
[ -z "$missing" ] && exit 0

echo "set-up: missing:$missing"
echo "set-up: gcc and the -dev packages build the window (OpenGL, X11, Wayland); the lib packages run it."
[ "$level" = test ] && echo "set-up: Xvfb, openbox and xdotool test the window, gnome-keyring and dbus the keyring, python3 reads test mail."

sudo=""
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "set-up: become root and run: apt-get install$missing" >&2
		exit 1
	fi
	sudo="sudo"
	[ -t 0 ] || sudo="sudo -n"
fi
export DEBIAN_FRONTEND=noninteractive
install() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing </dev/null >"$log" 2>&1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "set-up: installing with apt-get ..."
if ! install; then
	$sudo apt-get update </dev/null >>"$log" 2>&1 || true
	if ! install; then
		tail -n 15 "$log" >&2
		echo "set-up: apt-get failed; install by hand:$missing" >&2
		exit 1
	fi
fi
echo "set-up: done."
