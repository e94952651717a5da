#!/usr/bin/env bash
# Copyright 2026 The Tollgate authors
# SPDX-License-Identifier: Apache-2.0
#
# Exchanges the key that edge-stamp signs with, without a refused request.
#
#   APPLY=COMMAND rotate.sh OLD NEW
#
# OLD and NEW are entries of `keys`, such as '{"kid": "edge-2026-11", "alg": "ES256", "env": "EDGE_KEY_1"}'. COMMAND gets the list of keys on its standard input, puts it into the edge's
# configuration and returns when that is in force at every edge: kubectl, a call of your control plane, a script of yours.
#
# PUBLISH_WAIT: seconds until every mesh has fetched what is published: its refresh, and 300 where a cache stands between. Default 360.
# EXPIRE_WAIT:  seconds until the last stamp of the old key has expired: ttl and clockSkew. Default 40.
set -euo pipefail

if [ $# -ne 2 ] || [ -z "${APPLY:-}" ]; then
	sed -n '5,13p' "$0" | cut -c3-
	exit 2
fi
old=$1 new=$2

step() { printf '%s  %s\n' "$(date +%T)" "$*"; }
apply() { printf '[%s]\n' "$1" | bash -c "$APPLY" || { step "the edge's configuration could not be changed; the last step is not in force, those before it are, and nothing is broken: mend it and begin again"; exit 1; }; }

step "1/3 the new key is published; the old one signs"
apply "$old, $new"
step "waiting ${PUBLISH_WAIT:-360} s for every mesh to fetch it"
sleep "${PUBLISH_WAIT:-360}"

step "2/3 the new key signs; the old one is still published"
apply "$new, $old"
step "waiting ${EXPIRE_WAIT:-40} s for the old key's last stamps to expire"
sleep "${EXPIRE_WAIT:-40}"

step "3/3 the old key is gone"
apply "$new"
step "done: destroy the old key"
