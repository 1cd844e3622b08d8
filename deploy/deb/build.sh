#!/bin/sh
# Builds dist/banstream_VERSION_ARCH.deb for the Debian that this runs on: a virtual environment of its Python in
# /opt/banstream, units, accounts, completion, manual page. Run it from the root of the repository, with a Python
# that has pip and hatchling (`make deb` gives it the virtual environment's).
set -eu

builder=${1:?"usage: deploy/deb/build.sh PYTHON"}
system=/usr/bin/python3
command -v dpkg-deb >/dev/null && [ -x $system ] || {
  echo "banstream: a Debian package is built on a Debian with its own python3 (apt-get install python3)" >&2
  exit 3
}
minor=$($system -c 'import sys; print(sys.version_info[1])')
release=$(. /etc/os-release && echo "${VERSION_ID:-0}")
arch=$(dpkg --print-architecture)
version=$($builder -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
full=${BANSTREAM_DEB_VERSION:-$version-1}~deb$release
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

mkdir -p dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
home=$root/opt/banstream
pip() {
  "$builder" -m pip --quiet --disable-pip-version-check --python "$home/bin/python" "$@"
}

echo "banstream: building the package $full for Python 3.$minor (a minute)"
umask 022
$system -m venv --without-pip "$home"
pip install --no-compile --require-hashes --only-binary :all: --requirement deploy/locks/run.lock
"$builder" -m hatchling build --target wheel --directory "$work" >/dev/null 2>&1
pip install --no-compile --no-deps --no-index "$work"/*.whl

# The command by its final place; of what other packages bring, nothing is called by anybody.
find "$home/bin" -mindepth 1 ! -name 'python*' -delete
cat >"$home/bin/banstream" <<'EOF'
#!/opt/banstream/bin/python -P
from banstream.__main__ import main

raise SystemExit(main())
EOF
chmod 755 "$home/bin/banstream"
sed -i -e "s,$root,,g" "$home/pyvenv.cfg"
rm -rf "$home/include"
find "$home/lib" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find "$home/lib" -name '*.so*' -type f -exec strip --strip-unneeded {} + 2>/dev/null || true
# The service may not write there: what is compiled now is compiled for good.
$system -m compileall -q -j 0 -s "$root" -p / --invalidation-mode unchecked-hash "$home/lib"

put() { # put MODE FILE PLACE
  install -D -m "$1" "$2" "$root$3"
}
mkdir -p "$root/usr/bin"
ln -s /opt/banstream/bin/banstream "$root/usr/bin/banstream"
for unit in deploy/systemd/*.service; do put 644 "$unit" "/usr/lib/systemd/system/${unit##*/}"; done
put 644 deploy/systemd/banstream.sysusers /usr/lib/sysusers.d/banstream.conf
put 644 deploy/systemd/banstream.tmpfiles /usr/lib/tmpfiles.d/banstream.conf
put 644 deploy/completion/banstream.bash /usr/share/bash-completion/completions/banstream
put 644 deploy/completion/_banstream /usr/share/zsh/vendor-completions/_banstream
put 644 deploy/completion/banstream.fish /usr/share/fish/vendor_completions.d/banstream.fish
put 644 deploy/man/banstream.1 /usr/share/man/man1/banstream.1
put 644 LICENSE /usr/share/doc/banstream/copyright
put 644 CHANGELOG.md /usr/share/doc/banstream/changelog
for page in README.md docs/*.md; do put 644 "$page" "/usr/share/doc/banstream/${page##*/}"; done
put 644 deploy/deb/conf.d.README /etc/banstream/conf.d/README
gzip -9n "$root/usr/share/man/man1/banstream.1" "$root/usr/share/doc/banstream/changelog"
rm -rf "$home/share"

mkdir -p "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "deploy/deb/$script" "$root/DEBIAN/$script"; done
echo /etc/banstream/conf.d/README >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<EOF
Package: banstream
Version: $full
Architecture: $arch
Maintainer: The banstream authors <banstream@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: python3 (>= 3.$minor~), python3 (<< 3.$((minor + 1))~), libnftables1, init-system-helpers,
 systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles
Recommends: nftables
Suggests: rsyslog
Section: admin
Priority: optional
Description: keeps out addresses that go on guessing passwords, on one host or a fleet
 It reads the logs of more than two hundred services, counts failed logins per
 address and bans by nftables whoever fails too often. Events, decisions and
 what the firewall did are kept in one log, which explains every ban. Hosts of
 a fleet share that log on Kafka.
EOF
find "$root" -depth -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
made=dist/banstream_${full}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$made" >/dev/null
echo "$made"
