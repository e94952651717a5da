// istiod: the unmodified pilot (bootstrap.NewServer) + the WasmPlugin->TrafficExtension translation
// controller that upstream only wires in when config comes from a Kubernetes API server.
// Same flags as `pilot-discovery discovery`; needs --configDir.
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
	"sigs.k8s.io/yaml"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/config/kube/extensions"
	filestore "istio.io/istio/pilot/pkg/config/kube/file"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config/schema/collection"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/log"
)

// updater defers to the discovery server, which NewServer creates after our hook ran.
type updater struct {
	model.XDSUpdater
	s *bootstrap.Server
}

func (u *updater) ConfigUpdate(r *model.PushRequest) {
	if u.s.XDSServer != nil {
		u.s.XDSServer.ConfigUpdate(r)
	}
}

func secrets(dir string) (out []runtime.Object) {
	if dir == "" {
		return nil
	}
	fs, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
	for _, p := range fs {
		b, err := os.ReadFile(p)
		if err != nil {
			panic(err)
		}
		o := &corev1.Secret{}
		if err := yaml.UnmarshalStrict(b, o); err != nil {
			panic(err)
		}
		out = append(out, o)
	}
	return out
}

func main() {
	args := bootstrap.NewPilotArgs()
	dom := flag.String("domain", "cluster.local", "")
	flag.StringVar(&args.RegistryOptions.FileDir, "configDir", "", "")
	flag.StringVar(&args.MeshConfigFile, "meshConfig", "", "")
	flag.StringVar(&args.NetworksConfigFile, "networksConfig", "", "")
	flag.StringVar(&args.ServerOptions.GRPCAddr, "grpcAddr", "127.0.0.1:15010", "")
	flag.StringVar(&args.ServerOptions.SecureGRPCAddr, "secureGRPCAddr", "", "")
	flag.StringVar(&args.ServerOptions.HTTPAddr, "httpAddr", "127.0.0.1:18080", "")
	flag.StringVar(&args.ServerOptions.MonitoringAddr, "monitoringAddr", "127.0.0.1:15014", "")
	noTr := flag.Bool("no-translate", false, "leave out the WasmPlugin translation (what upstream does with --configDir)")
	secretDir := flag.String("secrets", "", "directory of Kubernetes Secret YAML files for the in-memory API")
	flag.Parse()
	args.RegistryOptions.KubeOptions.DomainSuffix = *dom
	args.ServerOptions.TLSOptions.TLSMinVersion = "1.2"
	args.RegistryOptions.KubeOptions.ClusterID = "lab"
	if err := log.Configure(log.DefaultOptions()); err != nil {
		panic(err)
	}
	if err := args.Complete(); err != nil {
		panic(err)
	}
	hook := func(s *bootstrap.Server) {
		// As upstream's server_test.go does: an in-memory Kubernetes client. Without one this commit
		// panics (serviceentry.newController dereferences a nil multicluster controller).
		f := reflect.ValueOf(s).Elem().FieldByName("kubeClient")
		reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(kube.NewFakeClient(secrets(*secretDir)...)))
		if *noTr {
			return
		}
		in, err := filestore.NewController(args.RegistryOptions.FileDir, *dom,
			collection.SchemasFor(collections.WasmPlugin), args.RegistryOptions.KubeOptions)
		if err != nil {
			panic(err)
		}
		stop := make(chan struct{})
		go in.Run(stop)
		s.ConfigStores = append(s.ConfigStores, extensions.NewController(in, &updater{s: s}, args.KrtDebugger))
	}
	s, err := bootstrap.NewServer(args, hook)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := make(chan struct{})
	if err := s.Start(stop); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	<-c
	close(stop)
	s.WaitUntilCompletion()
}
