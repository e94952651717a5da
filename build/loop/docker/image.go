// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
)

const importTimeout = 2 * time.Minute

// Image is what an image is made of. Paths in it are absolute.
type Image struct {
	Name     string
	Programs map[string]backends.Program // by their paths in the image; the libraries that they need come with them
	Files    map[string]string           // others, by their paths in the image
	Env      []string
	Command  []string
}

// Import makes an image.
func (e *Engine) Import(ctx context.Context, image Image) error {
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	files := maps.Clone(image.Files)
	if files == nil {
		files = map[string]string{}
	}
	for to, p := range image.Programs {
		files[to] = p.Path
		libraries, err := needed(ctx, p)
		if err != nil {
			return err
		}
		maps.Copy(files, libraries)
	}
	text, err := json.Marshal(image.Command)
	if err != nil {
		return err
	}
	args := []string{"import", "-c", "CMD " + string(text), "-c", "ENV PATH=/usr/local/bin:/usr/bin:/bin"}
	for _, v := range image.Env {
		args = append(args, "-c", "ENV "+v)
	}
	load := e.Command(ctx, "docker", append(args, "-", image.Name)...)
	r, w := io.Pipe()
	load.Stdin = r
	go func() { w.CloseWithError(pack(w, files)) }()
	if out, err := load.CombinedOutput(); err != nil {
		r.Close() // the packing ends, too
		return fmt.Errorf("docker import %s: %w: %s", image.Name, err, out)
	}
	return nil
}

// needed are a program's libraries and its loader, by their paths in an image. All libraries are
// put where every loader looks.
func needed(ctx context.Context, p backends.Program) (map[string]string, error) {
	ldd := exec.CommandContext(ctx, "ldd", p.Path)
	ldd.Env = append(os.Environ(), p.Env...)
	out, err := ldd.CombinedOutput()
	if strings.Contains(string(out), "not a dynamic executable") || strings.Contains(string(out), "statically linked") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w: %s", p.Path, err, out)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)"
		switch {
		case len(f) >= 3 && f[1] == "=>" && f[2] == "not":
			return nil, fmt.Errorf("%s needs %s, which is not here", p.Path, f[0])
		case len(f) >= 3 && f[1] == "=>":
			files["/lib/"+f[0]] = f[2]
			if f[0] == "libc.so.6" { // what it loads by itself, to ask for names
				for _, more := range []string{"libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"} {
					if from := filepath.Join(filepath.Dir(f[2]), more); exists(from) {
						files["/lib/"+more] = from
					}
				}
			}
		case len(f) >= 1 && strings.HasPrefix(f[0], "/"):
			files[f[0]] = f[0]
		}
	}
	return files, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// pack writes an image's files, and the few others that programs expect.
func pack(to io.Writer, files map[string]string) error {
	buffered := bufio.NewWriterSize(to, 1<<20)
	w := tar.NewWriter(buffered)
	for _, dir := range []string{"tmp/", "var/", "data/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"etc/passwd":        "root:x:0:0:root:/:/none\nenvoy:x:101:101::/:/none\nredis:x:999:999::/:/none\nnobody:x:65534:65534::/:/none\n",
		"etc/group":         "root:x:0:\nenvoy:x:101:\nredis:x:999:\nnogroup:x:65534:\n",
		"etc/nsswitch.conf": "hosts: files dns\n",
	} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644,
			Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	for name, from := range files {
		if err := packFile(w, strings.TrimPrefix(path.Clean(name), "/"), from); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), buffered.Flush())
}

func packFile(w *tar.Writer, name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
