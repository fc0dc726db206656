#!/bin/sh
# Finds what this machine lacks for building Postroom ("build") or for testing it too ("test"), says what it is and what
# it is for, and installs it: on Debian and its relatives with apt-get, as root or through sudo. On other systems it
# lists what is missing and stops. When nothing is missing it says nothing and changes nothing.
#
# Usage: scripts/setup.sh build|test
# Exit codes: 0 everything is there; 1 something is missing and could not be installed; 2 wrong usage.
set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.."

case "${1-}" in
build | test) level=$1 ;;
*)
	echo "usage: scripts/setup.sh build|test" >&2
	exit 2
	;;
esac

go_wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)

# The needs: level | Debian package (any of a|b will do; the last is installed) | how to find it elsewhere
# (cmd:PROGRAM, or pc:NAME for pkg-config) | what for.
needs() {
	cat <<'TABLE'
build|ca-certificates|-|fetch the Go modules over TLS
build|gcc|cmd:cc|compile the window's drawing code, which is C
build|libc6-dev|-|compile the window's drawing code, which is C
build|pkg-config,pkgconf|cmd:pkg-config|tell the compiler where OpenGL is
build|libgl-dev|pc:gl|draw the window (OpenGL)
build|libegl-dev|pc:egl|draw the window (OpenGL on Wayland)
build|libx11-dev|pc:x11|open the window (X11)
build|libxrandr-dev|pc:xrandr|screens and their sizes
build|libxxf86vm-dev|pc:xxf86vm|screens and their sizes
build|libxi-dev|pc:xi|mouse and keyboard
build|libxcursor-dev|pc:xcursor|the mouse pointer
build|libxinerama-dev|pc:xinerama|more than one screen
build|libwayland-dev|pc:wayland-client|open the window (Wayland)
build|libxkbcommon-dev|pc:xkbcommon|keyboard layouts (Wayland)
test|libgl1-mesa-dri|-|draw the test window without a graphics card
test|xvfb|cmd:Xvfb|a display of the tests' own, so that none is needed
test|openbox|cmd:openbox|a window manager on that display
test|xdotool|cmd:xdotool|press keys and move the mouse in the test window
test|xclip|cmd:xclip|the clipboard of the test window
test|imagemagick|cmd:import|take pictures of the test window
test|dbus-user-session,dbus-x11|cmd:dbus-daemon|a message bus of the tests' own, for the keyring
test|dbus-daemon|cmd:dbus-run-session|a message bus of the tests' own, for the keyring
test|gnome-keyring|cmd:gnome-keyring-daemon|a real keyring that keeps the test passwords
test|openssl|cmd:openssl|verify signatures with a second, independent program
test|python3|cmd:python3|read the sent mail with a second, independent reader
TABLE
}

# wanted prints the rows of this level.
wanted() {
	if [ "$level" = build ]; then needs | grep '^build|'; else needs; fi
}

check_go() {
	if ! command -v go >/dev/null 2>&1; then
		echo "Go is missing. Postroom needs Go $go_wanted or newer: install it from https://go.dev/dl/ and put its bin folder" >&2
		echo "(usually /usr/local/go/bin) into PATH. The Go of Debian 12 is too old." >&2
		exit 1
	fi
	# Inside the module, so that a Go that fetches newer toolchains by itself gets the chance to.
	have=$(go env GOVERSION 2>/dev/null || go version | cut -d' ' -f3)
	newest=$(printf '%s\n' "${have#go}" "$go_wanted" | sort -V | tail -n 1)
	if [ "${have#go}" != "$newest" ]; then
		echo "Postroom needs Go $go_wanted or newer; this is ${have:-unknown} ($(command -v go))." >&2
		echo "Install the newer one from https://go.dev/dl/ and put its bin folder in front of PATH." >&2
		exit 1
	fi
}

# missing_debian prints the rows whose package is not installed, with the one to install in the second field. It asks
# dpkg once.
missing_debian() {
	names=$(wanted | cut -d'|' -f2 | tr ',' '\n')
	# Unknown packages make dpkg-query complain and fail; they are just not installed.
	# shellcheck disable=SC2086
	installed=$(dpkg-query -W -f '${Package}=${db:Status-Status}\n' $names 2>/dev/null || true)
	wanted | awk -F'|' -v installed="$installed" '
		BEGIN {
			n = split(installed, lines, "\n")
			for (i = 1; i <= n; i++) if (sub(/=installed$/, "", lines[i])) have[lines[i]] = 1
		}
		{
			n = split($2, any, ","); found = 0
			for (i = 1; i <= n; i++) if (any[i] in have) found = 1
			if (!found) print $1 "|" any[n] "|" $3 "|" $4
		}'
}

# missing_elsewhere does the same by looking for programs and pkg-config's descriptions.
missing_elsewhere() {
	wanted | while IFS='|' read -r row_level package found_by why; do
		case $found_by in
		cmd:*) command -v "${found_by#cmd:}" >/dev/null 2>&1 && continue ;;
		pc:*)
			# macOS and Windows bring what the window is drawn with.
			[ "$(uname -s)" = Linux ] || continue
			pkg-config --exists "${found_by#pc:}" 2>/dev/null && continue
			;;
		*) continue ;;
		esac
		echo "$row_level|${package##*,}|$found_by|$why"
	done
}

# tell prints the missing rows for people.
tell() {
	printf '%s\n' "$1" | awk -F'|' '{ printf "  %-18s %s\n", $2, $4 }'
}

check_go

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
	missing=$(missing_elsewhere)
	[ -n "$missing" ] || exit 0
	echo "Postroom needs these to $level. They are listed by their Debian names; your system's may differ:" >&2
	tell "$missing" >&2
	echo "Please install them and start again. (On Debian and Ubuntu this would have been done for you.)" >&2
	exit 1
fi

missing=$(missing_debian)
[ -n "$missing" ] || exit 0
packages=$(printf '%s\n' "$missing" | cut -d'|' -f2 | tr '\n' ' ')
packages=${packages% }

echo "Set-up: this machine lacks packages that are needed to $level Postroom. Installing with apt-get:"
tell "$missing"

as_root=
if [ "$(id -u)" != 0 ]; then
	# With a terminal sudo may ask for the password; without one it must not wait for an answer.
	if ! command -v sudo >/dev/null 2>&1; then
		echo "This needs root, and there is no sudo. Please ask an administrator to run:" >&2
		echo "  apt-get install --no-install-recommends $packages" >&2
		exit 1
	elif [ -t 0 ]; then
		as_root=sudo
		echo "This needs root, so sudo may ask for your password."
	else
		as_root="sudo -n"
	fi
fi

run_apt() {
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 "$@" </dev/null
}

install_packages() {
	# shellcheck disable=SC2086
	run_apt install -y --no-install-recommends $packages
}

# Without package lists apt-get knows no package; with old ones it asks for files that are gone.
refreshed=
for package in $packages; do
	if ! apt-cache show "$package" >/dev/null 2>&1; then
		echo "Set-up: fetching the list of packages first (apt-get update)."
		run_apt update || echo "Set-up: that did not work throughout; trying with what there is."
		refreshed=yes
		break
	fi
done
if ! install_packages; then
	if [ -z "$refreshed" ]; then
		echo "Set-up: that failed; the list of packages may be old. Fetching it (apt-get update), then once more."
		run_apt update || echo "Set-up: that did not work throughout; trying with what there is."
		install_packages && refreshed=done
	fi
	if [ "$refreshed" != done ]; then
		echo "Set-up: apt-get could not install: $packages" >&2
		exit 1
	fi
fi

missing=$(missing_debian)
if [ -n "$missing" ]; then
	echo "Set-up: still missing after installing:" >&2
	tell "$missing" >&2
	exit 1
fi
echo "Set-up: done."
