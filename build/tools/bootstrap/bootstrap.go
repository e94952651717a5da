// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package bootstrap writes configurations of Envoy (its v3 API, as JSON) for tests, benchmarks and the demo.
//
// The pieces are plain maps: a caller adds whatever field of Envoy's it needs.
package bootstrap

import (
	"encoding/json"
	"path/filepath"
)

// M is a JSON object.
type M = map[string]any

const types = "type.googleapis.com/envoy."

// Typed is a configuration of the named type, as Envoy's typed_config wants it.
func Typed(name string, fields M) M {
	m := M{"@type": types + name}
	for k, v := range fields {
		m[k] = v
	}
	return m
}

// Bootstrap is a whole configuration with an admin interface on a free port of the loopback interface.
func Bootstrap(listeners, clusters []M) []byte {
	return bootstrap("static_resources", M{"listeners": listeners, "clusters": clusters})
}

// Discovered is a whole configuration that has listeners and clusters come and go with two files in
// dir, lds.json and cds.json, which must be renamed into place.
func Discovered(dir string) []byte {
	source := func(file string) M {
		return M{"path_config_source": M{"path": filepath.Join(dir, file)}, "resource_api_version": "V3"}
	}
	return bootstrap("dynamic_resources", M{"lds_config": source("lds.json"), "cds_config": source("cds.json")})
}

func bootstrap(field string, resources M) []byte {
	b, err := json.MarshalIndent(M{
		"node":  M{"id": "tollgate", "cluster": "tollgate"}, // asked for where a configuration is discovered
		"admin": M{"address": Address("127.0.0.1", 0)},
		field:   resources,
	}, "", " ")
	if err != nil {
		panic(err) // maps of what this package and its callers write always marshal
	}
	return b
}

// Address is an address for TCP; port 0 lets the kernel choose.
func Address(host string, port int) M {
	return M{"socket_address": M{"address": host, "port_value": port}}
}

// Listener accepts HTTP on a loopback port and hands it to the HTTP filters, the last of which is
// the router. fields are added to the HTTP connection manager's.
func Listener(name string, port int, filters, routes []M, fields M) M {
	manager := M{
		"stat_prefix":  name,
		"codec_type":   "AUTO",
		"route_config": M{"name": name, "virtual_hosts": []M{{"name": name, "domains": []string{"*"}, "routes": routes}}},
		"http_filters": append(filters[:len(filters):len(filters)],
			Filter("envoy.filters.http.router", "extensions.filters.http.router.v3.Router", nil)),
	}
	for k, v := range fields {
		manager[k] = v
	}
	return M{
		"name": name, "address": Address("127.0.0.1", port),
		"filter_chains": []M{{"filters": []M{{
			"name":         "envoy.filters.network.http_connection_manager",
			"typed_config": Typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", manager),
		}}}},
	}
}

// Filter is an HTTP filter.
func Filter(name, typeName string, fields M) M {
	return M{"name": name, "typed_config": Typed(typeName, fields)}
}

// Wasm is a filter made of a compiled module. The VM is made anew after a trap (FAIL_RELOAD), and
// until then its requests are answered 503.
type Wasm struct {
	Name          string // of the filter and its plugin
	VM            string // vm_id: plugins of one module that have the same share a VM; empty: the name
	Module        string // path of the .wasm file
	Configuration string // the plugin's; none where empty
	Env           map[string]string
	HostEnv       []string // variables of Envoy's own environment
	// allow_on_headers_stop_iteration: the filter sees the body of a request whose headers it holds back
	StopIteration bool
}

// Rewrite, where it is set, changes every plugin before it is configured: for tests that run the
// same with other modules.
var Rewrite func(Wasm) Wasm

// Filter is the filter's configuration.
func (w Wasm) Filter() M {
	if Rewrite != nil {
		w = Rewrite(w)
	}
	id := w.VM
	if id == "" {
		id = w.Name
	}
	vm := M{"runtime": "envoy.wasm.runtime.v8", "vm_id": id, "code": M{"local": M{"filename": w.Module}}}
	if len(w.Env)+len(w.HostEnv) > 0 {
		vm["environment_variables"] = M{"key_values": w.Env, "host_env_keys": w.HostEnv}
	}
	config := M{"name": w.Name, "root_id": w.Name, "failure_policy": "FAIL_RELOAD", "vm_config": vm}
	if w.StopIteration {
		config["allow_on_headers_stop_iteration"] = true
	}
	if w.Configuration != "" {
		config["configuration"] = M{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": w.Configuration}
	}
	return Filter(w.Name, "extensions.filters.http.wasm.v3.Wasm", M{"config": config})
}

// To routes every request to a cluster.
func To(cluster string) []M {
	return []M{{"match": M{"prefix": "/"}, "route": M{"cluster": cluster}}}
}

// Answer has the proxy answer every request itself.
func Answer(status int, body string) []M {
	return []M{{"match": M{"prefix": "/"}, "direct_response": M{"status": status, "body": M{"inline_string": body}}}}
}

// Cluster is one upstream on the loopback interface, spoken to in HTTP/1.1 or in HTTP/2 without TLS.
func Cluster(name string, port int, http2 bool) M {
	c := M{
		"name": name, "type": "STATIC", "connect_timeout": "5s",
		"load_assignment": M{"cluster_name": name,
			"endpoints": []M{{"lb_endpoints": []M{{"endpoint": M{"address": Address("127.0.0.1", port)}}}}}},
	}
	if http2 {
		Protocol(c)["explicit_http_config"] = M{"http2_protocol_options": M{}}
	}
	return c
}

// Protocol are the HTTP options of a cluster, to be changed: HTTP/1.1 without any where there were none.
func Protocol(cluster M) M {
	const extension, name = "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	if cluster[extension] == nil {
		cluster[extension] = M{name: Typed("extensions.upstreams.http.v3.HttpProtocolOptions",
			M{"explicit_http_config": M{"http_protocol_options": M{}}})}
	}
	return cluster[extension].(M)[name].(M)
}

// Leaving has filters see what leaves for a cluster: after routing and rewriting, and each attempt
// of a request that is retried.
func Leaving(cluster M, filters ...M) M {
	Protocol(cluster)["http_filters"] = append(filters,
		Filter("envoy.filters.http.upstream_codec", "extensions.filters.http.upstream_codec.v3.UpstreamCodec", nil))
	return cluster
}

// AccessLog prints a line of JSON for every request, with these fields in Envoy's access log
// format, to standard output.
func AccessLog(fields map[string]string) []M {
	return []M{Filter("envoy.access_loggers.stdout", "extensions.access_loggers.stream.v3.StdoutAccessLog",
		M{"log_format": M{"json_format": fields}})}
}
