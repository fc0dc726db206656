#!/bin/sh
# Makes a Debian package and an archive for other Linux systems in build/package. The same sources give the same bytes:
# all times in them are that of the last commit, or SOURCE_DATE_EPOCH.
#
# This is the one build with flags of its own: without file paths, and with the toolkit's thread checks off.
set -eu
LC_ALL=C
export LC_ALL
umask 022
cd "$(dirname "$0")/.."

value() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" FyneApp.toml; }
id=$(value ID)
version=$(value Version)
comment=$(value Comment)
arch=$(go env GOARCH)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)

out=build/package
tree=$out/tree
rm -rf "$out"
mkdir -p "$tree/usr/bin" "$tree/usr/share/applications" "$tree/usr/share/metainfo" \
	"$tree/usr/share/icons/hicolor/256x256/apps" "$tree/usr/share/doc/postroom"

go build -tags migrated_fynedo -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" \
	-o "$tree/usr/bin/postroom" .
cp assets/icons/Icon-256.png "$tree/usr/share/icons/hicolor/256x256/apps/$id.png"

cat >"$tree/usr/share/applications/$id.desktop" <<END
[Desktop Entry]
Type=Application
Name=Postroom
GenericName=Mailroom
GenericName[zh_CN]=邮件群发
Comment=$comment
Exec=postroom
Icon=$id
Terminal=false
Categories=Office;Email;
Keywords=mail;mailing;merge;newsletter;invoice;
END

cat >"$tree/usr/share/metainfo/$id.metainfo.xml" <<END
<?xml version="1.0" encoding="UTF-8"?>
<component type="desktop-application">
  <id>$id</id>
  <name>Postroom</name>
  <summary>Personalised mailings from your own accounts</summary>
  <metadata_license>CC0-1.0</metadata_license>
  <description>
    <p>Several sender accounts, contact lists, personalised mailings with attachments, a background mailer that never
    loses or silently doubles a message, and a history that says per recipient what happened. Everything stays on this
    computer.</p>
  </description>
  <launchable type="desktop-id">$id.desktop</launchable>
  <content_rating type="oars-1.1"/>
  <releases><release version="$version" date="$day"/></releases>
</component>
END
cp assets/font/LICENSE.txt "$tree/usr/share/doc/postroom/font-license.txt"
cp assets/font/NOTICE.txt "$tree/usr/share/doc/postroom/font-notice.txt"

find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
archive=$out/postroom-$version-linux-$arch.tar.xz
tar -C "$tree" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - usr | xz -T1 >"$archive"

if command -v dpkg-deb >/dev/null 2>&1; then
	mkdir "$tree/DEBIAN"
	cat >"$tree/DEBIAN/control" <<END
Package: postroom
Version: $version
Architecture: $arch
Maintainer: The Postroom maintainers <maintainers@postroom.invalid>
Installed-Size: $(du -sk "$tree/usr" | cut -f1)
Depends: libc6, libgl1, libegl1, libx11-6, libxcursor1, libxi6, libxinerama1, libxrandr2, libxxf86vm1, libxrender1, libxext6, libwayland-client0, libwayland-cursor0, libwayland-egl1, libxkbcommon0
Recommends: ca-certificates, xdg-utils, libgl1-mesa-dri, gnome-keyring | kwalletmanager
Section: mail
Priority: optional
Description: desktop mailroom for small businesses
 Several sender accounts, contact lists, personalised mailings with
 attachments, a background mailer that never loses or silently doubles a
 message, and a history that says per recipient what happened.
END
	dpkg-deb --root-owner-group -Zxz -b "$tree" "$out/postroom_${version}_$arch.deb"
else
	echo "No dpkg-deb here: only the archive was made."
fi
ls -l "$out"/postroom*
