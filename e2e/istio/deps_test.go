package istio

import (
	_ "github.com/google/go-containerregistry/pkg/registry"
	_ "github.com/tollgate-wasm/tollgate/build/image"
	_ "github.com/tollgate-wasm/tollgate/build/advice"
	_ "github.com/tollgate-wasm/tollgate/build/mint"
	_ "github.com/tollgate-wasm/tollgate/e2e/harness"
	_ "istio.io/istio/pilot/pkg/config/kube/crd"
	_ "istio.io/istio/pkg/config/crd"
	_ "istio.io/istio/pkg/config/schema/collections"
	_ "sigs.k8s.io/kustomize/api/krusty"
	_ "helm.sh/helm/v4/pkg/engine"
	_ "helm.sh/helm/v4/pkg/chart/loader"
)
