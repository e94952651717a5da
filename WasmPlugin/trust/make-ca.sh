#!/bin/sh
# One root for the enterprise, and an intermediate CA for each mesh, in the files that Istio reads from its Secret cacerts.
#
#   make-ca.sh DIR MESH…      make-ca.sh ca edge internal
#
# DIR/root-key.pem signs the intermediates of further meshes, now and later: the script goes on with the root that it finds. Keep that key offline; no cluster needs it.
# DIR/MESH/ is what one cluster gets:
#   kubectl create secret generic cacerts --namespace istio-system --from-file=DIR/MESH
set -eu
umask 077
[ $# -ge 2 ] || { echo "usage: $0 DIR MESH…" >&2; exit 2; }
dir=$1
shift
mkdir -p "$dir"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

if [ ! -e "$dir/root-key.pem" ]; then
	key "$dir/root-key.pem"
	openssl req -x509 -new -key "$dir/root-key.pem" -sha256 -days 3650 -subj "/O=${ORGANIZATION:-Example}/CN=Root" -out "$dir/root-cert.pem" \
		-addext basicConstraints=critical,CA:true,pathlen:1 -addext keyUsage=critical,keyCertSign,cRLSign
fi
for mesh in "$@"; do
	to=$dir/$mesh
	[ ! -e "$to/ca-key.pem" ] || { echo "$to has a CA already; to renew it, move that away" >&2; exit 1; }
	mkdir -p "$to"
	key "$to/ca-key.pem"
	openssl req -new -key "$to/ca-key.pem" -subj "/O=${ORGANIZATION:-Example}/CN=Intermediate of $mesh" -out "$to/ca.csr"
	printf '%s\n' basicConstraints=critical,CA:true,pathlen:0 keyUsage=critical,keyCertSign,cRLSign subjectKeyIdentifier=hash authorityKeyIdentifier=keyid >"$to/ca.ext"
	openssl x509 -req -in "$to/ca.csr" -CA "$dir/root-cert.pem" -CAkey "$dir/root-key.pem" -CAcreateserial -sha256 -days 730 -extfile "$to/ca.ext" -out "$to/ca-cert.pem"
	cp "$dir/root-cert.pem" "$to/root-cert.pem"
	cat "$to/ca-cert.pem" "$dir/root-cert.pem" >"$to/cert-chain.pem"
	rm "$to/ca.csr" "$to/ca.ext"
done
