// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// volumes makes the pod's, and returns their folders by name.
func (p *pod) volumes() (map[string]string, error) {
	dirs := map[string]string{}
	for _, v := range p.pod.Spec.Volumes {
		dir := filepath.Join(p.node.dir, p.name, "volumes", v.Name)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, 0o777); err != nil { // whoever the container runs as
			return nil, err
		}
		dirs[v.Name] = dir
		files := map[string][]byte{}
		var err error
		switch {
		case v.EmptyDir != nil:
		case v.HostPath != nil:
			dirs[v.Name] = v.HostPath.Path
		case v.ConfigMap != nil:
			err = p.configMap(files, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
		case v.Secret != nil:
			err = p.secret(files, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
		case v.DownwardAPI != nil:
			err = p.downward(files, v.DownwardAPI.Items)
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				switch {
				case err != nil:
				case s.ServiceAccountToken != nil:
					err = p.token(files, s.ServiceAccountToken)
				case s.ConfigMap != nil:
					err = p.configMap(files, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
				case s.Secret != nil:
					err = p.secret(files, s.Secret.Name, s.Secret.Items, s.Secret.Optional)
				case s.DownwardAPI != nil:
					err = p.downward(files, s.DownwardAPI.Items)
				default:
					err = fmt.Errorf("volume %s has a source that is not known here", v.Name)
				}
			}
		default:
			err = fmt.Errorf("volume %s is of a kind that is not known here", v.Name)
		}
		if err != nil {
			return nil, err
		}
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return nil, err
			}
		}
	}
	return dirs, nil
}

// choose adds what items name, or all.
func choose[T ~string | ~[]byte](files map[string][]byte, data map[string]T, items []corev1.KeyToPath) error {
	if items == nil {
		for key, value := range data {
			files[key] = []byte(value)
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			return fmt.Errorf("there is no key %s", item.Key)
		}
		files[item.Path] = []byte(value)
	}
	return nil
}

func (p *pod) configMap(files map[string][]byte, name string, items []corev1.KeyToPath, optional *bool) error {
	object, err := p.node.cluster.Client.CoreV1().ConfigMaps(p.pod.Namespace).Get(context.Background(), name,
		metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	if err != nil {
		return err
	}
	return choose(files, object.Data, items)
}

func (p *pod) secret(files map[string][]byte, name string, items []corev1.KeyToPath, optional *bool) error {
	object, err := p.node.cluster.Client.CoreV1().Secrets(p.pod.Namespace).Get(context.Background(), name,
		metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	if err != nil {
		return err
	}
	return choose(files, object.Data, items)
}

func (p *pod) downward(files map[string][]byte, items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		if item.FieldRef == nil {
			return fmt.Errorf("%s is not of a field", item.Path)
		}
		value, err := p.field(item.FieldRef.FieldPath)
		if err != nil {
			return err
		}
		files[item.Path] = []byte(value)
	}
	return nil
}

// token asks the API server for one of the pod's service account.
func (p *pod) token(files map[string][]byte, source *corev1.ServiceAccountTokenProjection) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.pod.Name,
			UID: p.pod.UID}}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	answer, err := p.node.cluster.Client.CoreV1().ServiceAccounts(p.pod.Namespace).CreateToken(context.Background(),
		p.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	files[source.Path] = []byte(answer.Status.Token)
	return nil
}

// field is what the downward API says.
func (p *pod) field(path string) (string, error) {
	switch path {
	case "status.podIP", "status.podIPs":
		return p.ip, nil
	case "status.hostIP", "status.hostIPs":
		return hostIP, nil
	case "spec.nodeName":
		return nodeName, nil
	case "spec.serviceAccountName":
		return p.pod.Spec.ServiceAccountName, nil
	}
	return fieldpath.ExtractFieldPathAsString(p.pod, path)
}

// environment of a container.
func (p *pod) environment(c *corev1.Container, image Image) (map[string]string, error) {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/",
		"HOSTNAME": p.pod.Name, "KUBERNETES_SERVICE_HOST": hostIP, "KUBERNETES_SERVICE_PORT": apiPort}
	for _, v := range image.Env {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	for _, source := range c.EnvFrom {
		files := map[string][]byte{}
		var err error
		if source.ConfigMapRef != nil {
			err = p.configMap(files, source.ConfigMapRef.Name, nil, source.ConfigMapRef.Optional)
		} else if source.SecretRef != nil {
			err = p.secret(files, source.SecretRef.Name, nil, source.SecretRef.Optional)
		}
		if err != nil {
			return nil, err
		}
		for name, value := range files {
			env[source.Prefix+name] = string(value)
		}
	}
	expand := expansion.MappingFuncFor(env)
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			env[v.Name] = expansion.Expand(v.Value, expand)
			continue
		}
		files := map[string][]byte{}
		key := "value"
		var err error
		switch from := v.ValueFrom; {
		case from.FieldRef != nil:
			var value string
			value, err = p.field(from.FieldRef.FieldPath)
			files[key] = []byte(value)
		case from.ResourceFieldRef != nil:
			var value string
			value, err = resource.ExtractResourceValueByContainerNameAndNodeAllocatable(from.ResourceFieldRef, p.pod,
				c.Name, corev1.ResourceList{})
			if value == "0" { // no limit: as much as a machine has that runs a few pods
				value = map[string]string{"limits.cpu": "2"}[from.ResourceFieldRef.Resource]
				if value == "" {
					value = fmt.Sprint(2 << 30)
				}
			}
			files[key] = []byte(value)
		case from.SecretKeyRef != nil:
			key = from.SecretKeyRef.Key
			err = p.secret(files, from.SecretKeyRef.Name, nil, from.SecretKeyRef.Optional)
		case from.ConfigMapKeyRef != nil:
			key = from.ConfigMapKeyRef.Key
			err = p.configMap(files, from.ConfigMapKeyRef.Name, nil, from.ConfigMapKeyRef.Optional)
		default:
			err = fmt.Errorf("variable %s is of a source that is not known here", v.Name)
		}
		if err != nil {
			return nil, err
		}
		if value, ok := files[key]; ok {
			env[v.Name] = string(value)
		}
	}
	return env, nil
}

// command is what runs a container: its root is this machine's, with what the image has and the pod mounts over it, and
// what it writes is its own. The shell mounts, then chroot becomes the program.
func (p *pod) command(c *corev1.Container, volumes map[string]string) (*exec.Cmd, error) {
	image, ok := p.node.images[imageName(c.Image)]
	if !ok {
		return nil, fmt.Errorf("there is no image %s here", c.Image)
	}
	env, err := p.environment(c, image)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(p.node.dir, p.name, "containers", c.Name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("set -e; cd %s; mount -t tmpfs -o mode=755 tmpfs .; cd %s; mkdir upper work root", quote(root), quote(root))
	line("mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root; cd root")
	line("mkdir -p proc dev sys tmp run; mount --rbind /proc proc; mount --rbind /dev dev; mount --rbind /sys sys")
	line("mount -t tmpfs -o mode=1777 tmpfs tmp; mount -t tmpfs -o mode=1777 tmpfs run")
	line("mount -t tmpfs -o mode=1777 tmpfs dev/shm") // Envoy's: of another pod, it could not take it
	file := func(from, to string) {
		line("mkdir -p %s", quote("."+filepath.Dir(to)))
		to = quote("." + to)
		line("[ -e %s ] || : > %s; mount --bind %s %s", to, to, quote(from), to)
	}
	for to, from := range image.Files {
		if info, err := os.Stat(from); err != nil {
			return nil, err
		} else if info.IsDir() {
			line("mkdir -p %s; mount --rbind %s %s", quote("."+to), quote(from), quote("."+to))
		} else {
			file(from, to)
		}
	}
	names := filepath.Join(p.node.dir, p.name, "resolv.conf")
	if err := os.WriteFile(names, []byte(resolv(p.pod.Namespace)), 0o644); err != nil {
		return nil, err
	}
	file(names, "/etc/resolv.conf")
	line("mkdir -p ./etc/ssl/certs; rm -f ./etc/ssl/certs/ca-certificates.crt")
	file(filepath.Join(p.node.dir, "roots.pem"), "/etc/ssl/certs/ca-certificates.crt")
	mounts := append([]corev1.VolumeMount{}, c.VolumeMounts...)
	sort.Slice(mounts, func(i, j int) bool { return mounts[i].MountPath < mounts[j].MountPath })
	for _, m := range mounts {
		from := filepath.Join(volumes[m.Name], m.SubPath)
		if info, err := os.Stat(from); err == nil && !info.IsDir() {
			file(from, resolve(m.MountPath))
			continue
		}
		to := quote("." + resolve(m.MountPath))
		line("mkdir -p %s; mount --rbind %s %s", to, quote(from), to)
	}
	user, group := image.User, image.User
	for _, s := range []struct{ user, group *int64 }{podUser(p.pod), containerUser(c)} {
		if s.user != nil {
			user, group = *s.user, *s.user
		}
		if s.group != nil {
			group = *s.group
		}
	}
	words := append(append([]string{}, image.Entrypoint...), c.Args...)
	if len(c.Command) > 0 {
		words = append(append([]string{}, c.Command...), c.Args...)
	}
	expand := expansion.MappingFuncFor(env)
	args := []string{"--net=/run/netns/" + p.name, "unshare", "--mount", "--uts", "sh", "-c", "", "sh", "chroot",
		fmt.Sprintf("--userspec=%d:%d", user, group), ".", "env", "-i"}
	for name, value := range env {
		args = append(args, name+"="+value)
	}
	for _, word := range words {
		args = append(args, expansion.Expand(word, expand))
	}
	line("chown %d:%d /proc/self/fd/1 /proc/self/fd/2", user, group) // Envoy opens /dev/stdout
	line(`exec "$@"`)
	args[6] = b.String()
	return exec.Command("nsenter", args...), nil
}

// resolve follows the link that /var/run is on most machines.
func resolve(path string) string {
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		return "/run/" + rest
	}
	return path
}

func podUser(p *corev1.Pod) (s struct{ user, group *int64 }) {
	if c := p.Spec.SecurityContext; c != nil {
		s.user, s.group = c.RunAsUser, c.RunAsGroup
	}
	return s
}

func containerUser(c *corev1.Container) (s struct{ user, group *int64 }) {
	if c := c.SecurityContext; c != nil {
		s.user, s.group = c.RunAsUser, c.RunAsGroup
	}
	return s
}
