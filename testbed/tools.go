//go:build tools

// Package tools keeps the programs of other modules that the images are made of in go.mod.
package tools

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "k8s.io/ingress-nginx/cmd/dbg"
	_ "k8s.io/ingress-nginx/cmd/nginx"
	_ "k8s.io/ingress-nginx/cmd/waitshutdown"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "sigs.k8s.io/kind"
)
