// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs Kubernetes for tests: etcd, kube-apiserver and kube-controller-manager as they are released,
// with kubectl and helm, in a network of their own that ends with the test.
//
// There is no kubelet, for want of container images; Node stands in for it, and for the scheduler, kube-proxy's load
// balancers and the cluster's DNS. What a pod gets is what a kubelet would give it: a network namespace with an
// address, its service account's token of the real API server, volumes, environment, users, probes and restarts. A
// container is a process with a root file system of its own, over this machine's; images are programs that this
// machine has, under the names that manifests have for them.
//
// Virtual addresses of services are not routed: DNS answers with the addresses of the pods. Where a pod's connections
// are intercepted, as Istio's sidecars do, virtual addresses work, too.
package cluster
