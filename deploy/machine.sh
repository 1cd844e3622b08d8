#!/bin/sh
# Sees to it that this machine has the system's packages for a purpose: run, test, all (tests) or bench.
# Installs what is missing with apt as root; otherwise says what is missing and how to get it, and goes on.
# For tests it also fetches the jars of a Kafka broker, and for all of them trees of Debian to boot. Run it from
# the root of the repository.
set -eu

purpose=${1:?"usage: deploy/machine.sh run|test|all|bench"}
# A package, and a file of it that tells that it is there.
run_packages="libnftables1:/usr/lib/*/libnftables.so.1"
test_packages="$run_packages nftables:/usr/sbin/nft iproute2:/usr/sbin/ip
  openssh-server:/usr/sbin/sshd openssh-client:/usr/bin/ssh sshpass:/usr/bin/sshpass
  rsyslog:/usr/sbin/rsyslogd rsyslog-gnutls:/usr/lib/*/rsyslog/lmnsd_gtls.so
  rsyslog-kafka:/usr/lib/*/rsyslog/omkafka.so rsyslog-elasticsearch:/usr/lib/*/rsyslog/omelasticsearch.so
  rsyslog-relp:/usr/lib/*/rsyslog/imrelp.so
  logrotate:/usr/sbin/logrotate systemd:/usr/bin/journalctl util-linux:/usr/bin/unshare
  systemd-journal-remote:/lib/systemd/systemd-journal-remote fail2ban:/usr/bin/fail2ban-regex"
# What the broker needs that the tests start; another Java or Maven that is there will do.
command -v java >/dev/null || test_packages="$test_packages default-jre-headless:/nowhere"
[ -e .cache/kafka/.complete ] || command -v mvn >/dev/null || test_packages="$test_packages maven:/usr/bin/mvn"
bench_packages=$test_packages
all_packages="$test_packages debootstrap:/usr/sbin/debootstrap systemd-container:/usr/bin/systemd-nspawn"

case $purpose in
  run) packages=$run_packages ;;
  test) packages=$test_packages ;;
  all) packages=$all_packages ;;
  bench) packages=$bench_packages ;;
  *) echo "deploy/machine.sh: unknown purpose: $purpose; expected run, test, all or bench" >&2; exit 2 ;;
esac
# Debian's Python comes without venv; another Python usually has it.
python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  packages="$packages python3-venv:/nowhere"

missing=
for package in $packages; do
  found=
  for file in ${package#*:}; do [ -e "$file" ] && found=yes; done
  [ "$found" ] || missing="$missing ${package%%:*}"
done

# The jars of the Kafka broker that tests and benchmarks start, once, into .cache/kafka.
broker_jars() {
  [ "$purpose" != run ] && [ ! -e .cache/kafka/.complete ] && [ ! "${BANSTREAM_KAFKA:-}" ] || return 0
  if ! command -v mvn >/dev/null; then
    echo "banstream: without Maven there is no Kafka broker for the tests; install it, or set BANSTREAM_KAFKA" >&2
    return 0
  fi
  echo "banstream: fetching the jars of a Kafka broker with Maven into .cache/kafka (45 MB, for tests only)"
  rm -rf .cache/kafka.new
  mvn --batch-mode --quiet -f deploy/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$PWD/.cache/kafka.new" || {
    echo "banstream: Maven could not fetch them: the tests that need a Kafka broker will be skipped" >&2
    return 0
  }
  rm -rf .cache/kafka
  mv .cache/kafka.new .cache/kafka
  touch .cache/kafka/.complete
}

# Trees of Debian 12 and 13 with systemd, for tests that boot a machine.
tree_packages=systemd,systemd-sysv,dbus,python3,python3-venv,procps,libnftables1,nftables
tree_packages=$tree_packages,openssh-server,openssh-client,iproute2
machine_trees() {
  [ "$purpose" = all ] || return 0
  for suite in bookworm trixie; do
    tree=.cache/debian-$suite
    [ "$(cat "$tree/.complete" 2>/dev/null)" != "$tree_packages" ] || continue
    if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
      echo "banstream: no root or no debootstrap: the tests that boot a machine will be skipped" >&2
      return 0
    fi
    echo "banstream: making a tree of Debian $suite in $tree (350 MB, two minutes, for tests only)"
    rm -rf "$tree"
    debootstrap --variant=minbase --include="$tree_packages" "$suite" "$tree" >/dev/null
    echo "$tree_packages" >"$tree/.complete"
  done
}

[ "$missing" ] || { broker_jars; machine_trees; exit 0; }

if ! command -v apt-get >/dev/null; then
  echo "banstream: this machine lacks$missing, and has no apt: install them by its own means." >&2
  broker_jars
  machine_trees
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "banstream: not root, so these packages were not installed:$missing" >&2
  echo "banstream: to have them: sudo apt-get install$missing" >&2
  broker_jars
  machine_trees
  exit 0
fi

echo "banstream: installing with apt:$missing (services are not started)"
# Debian starts a service as it installs it; nobody asked for that here.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' > $policy
  chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word a package
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
  apt-get update -qq
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
broker_jars
machine_trees
