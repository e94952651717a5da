// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command istiod is Istio's control plane, bootstrap.NewServer as it ships, for a machine without
// Kubernetes: its configuration is a folder of YAML files.
//
// Three things differ from pilot-discovery. That one gives up without a Kubernetes client, so this
// one hands it the client in memory that Istio's own tests use. WasmPlugins become the
// TrafficExtensions that proxies are configured from only where they come from Kubernetes
// (pilot/pkg/config/kube/extensions), so this one puts that same controller behind the folder. And
// for proxies with the label of a Gateway of the Gateway API istiod asks that API's controller,
// which needs Kubernetes, whether any of its routes goes to an inference pool: here none does.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"syscall"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/config/kube/extensions"
	"istio.io/istio/pilot/pkg/config/kube/file"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collection"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/log"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "istiod:", err)
		os.Exit(1)
	}
}

func run() error {
	const domain = "cluster.local"
	args := bootstrap.NewPilotArgs()
	args.ServerOptions.TLSOptions.TLSMinVersion = "1.2"
	args.RegistryOptions.KubeOptions.DomainSuffix = domain
	args.RegistryOptions.KubeOptions.ClusterID = "cluster"
	flag.StringVar(&args.RegistryOptions.FileDir, "config", "", "folder of the configuration; it is watched")
	flag.StringVar(&args.MeshConfigFile, "mesh", "", "file of the mesh's configuration")
	flag.StringVar(&args.ServerOptions.SecureGRPCAddr, "xds", "", "address for the proxies, with TLS")
	flag.StringVar(&args.ServerOptions.HTTPAddr, "http", "", "address of /ready and /debug")
	flag.StringVar(&args.ServerOptions.MonitoringAddr, "monitoring", "", "address of the metrics")
	root := flag.String("root", "", "file to write the root certificate of the mesh to")
	secrets := flag.String("secrets", "", "folder of Kubernetes Secrets, such as those with credentials of a registry")
	flag.Parse()

	if err := log.Configure(log.DefaultOptions()); err != nil {
		return err
	}
	if err := args.Complete(); err != nil {
		return err
	}
	objects, err := readSecrets(*secrets)
	if err != nil {
		return err
	}
	plugins, err := file.NewController(args.RegistryOptions.FileDir, domain,
		collection.SchemasFor(collections.WasmPlugin), args.RegistryOptions.KubeOptions)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	server, err := bootstrap.NewServer(args, func(s *bootstrap.Server) {
		*hidden[kube.Client](s, "kubeClient") = kube.NewFakeClient(objects...)
		(*hidden[*model.Environment](s, "environment")).GatewayAPIController = noGateways{}
		go plugins.Run(stop)
		s.ConfigStores = append(s.ConfigStores, extensions.NewController(plugins, &updater{server: s}, args.KrtDebugger))
	})
	if err != nil {
		return err
	}
	if *root != "" {
		if err := os.WriteFile(*root, server.CA.GetCAKeyCertBundle().GetRootCertPem(), 0o644); err != nil {
			return err
		}
	}
	if err := server.Start(stop); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
	close(stop)
	server.WaitUntilCompletion()
	return nil
}

// hidden is a field that only Istio's own package can set: there is no option for it.
func hidden[T any](s *bootstrap.Server, name string) *T {
	return (*T)(unsafe.Pointer(reflect.ValueOf(s).Elem().FieldByName(name).UnsafeAddr()))
}

// noGateways stands for the controller of the Gateway API where there are no resources of it.
type noGateways struct{ model.GatewayController }

func (noGateways) Reconcile(*model.PushContext)                               {}
func (noGateways) HasInferencePool(types.NamespacedName) bool                 { return false }
func (noGateways) SecretAllowed(config.GroupVersionKind, string, string) bool { return false }

// updater hands changes on to a part of the server that is made only after the controller that tells of them.
type updater struct {
	model.XDSUpdater
	server *bootstrap.Server
}

func (u *updater) ConfigUpdate(request *model.PushRequest) {
	if u.server.XDSServer != nil {
		u.server.XDSServer.ConfigUpdate(request)
	}
}

func readSecrets(dir string) (list []runtime.Object, err error) {
	if dir == "" {
		return nil, nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		secret := &corev1.Secret{}
		if err := yaml.UnmarshalStrict(text, secret); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, secret)
	}
	return list, nil
}
