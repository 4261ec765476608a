package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"go/version"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/hellolab/hellolab/engine"
	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/scratch"
)

// oldestGo compiles the sources.
const oldestGo = "1.21"

// module makes the sources a module.
const module = "module hellok8s\n\ngo " + oldestGo + "\n"

// compile is the command that compiles packages, and prints each package that it has compiled. What debuggers read is not linked in, so the
// compiler need not write it, which takes a tenth of its time.
func compile(goCommand string, packages ...string) []string {
	return append([]string{goCommand, "build", "-v", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags=-s -w -buildid=", "-o", "out/"}, packages...)
}

// count is the command that lists all packages that take part: the whole that progress is a part of.
func count(goCommand string, packages ...string) []string {
	return append([]string{goCommand, "list", "-deps", "-f", "package"}, packages...)
}

// environment holds what go build depends on, whatever the user's own settings are.
func environment(architecture string) []string {
	return []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + architecture, "GOTOOLCHAIN=local", "GOENV=off", "GOFLAGS=", "GOWORK=off",
		"GOPROXY=off", "GO111MODULE=on"}
}

// compiler compiles sources, all at once.
type compiler interface {
	// compile returns the program of each tag. sources are main.go files by tag.
	compile(ctx context.Context, sources map[string][]byte, architecture string, progress func(share float64)) (map[string][]byte, error)
}

// prefix is before a tag in the name of its package: go build takes a path that ends in v2 for a version of what
// stands before it, and names the program after that.
const prefix = "tag-"

// files lays sources out as a module.
func files(sources map[string][]byte) (laidOut map[string][]byte, packages []string) {
	laidOut = map[string][]byte{"go.mod": []byte(module)}
	for _, tag := range slices.Sorted(maps.Keys(sources)) {
		laidOut[prefix+tag+"/main.go"] = sources[tag]
		packages = append(packages, "./"+prefix+tag)
	}
	return laidOut, packages
}

// hostCompiler is this machine's Go.
type hostCompiler struct{ goCommand string }

// findHost returns this machine's Go, or why it cannot compile the sources.
func findHost(ctx context.Context) (compiler, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, needsGo(messages.Errorf("there is no Go on this machine's PATH"))
	}
	command := exec.CommandContext(ctx, path, "env", "GOVERSION")
	command.Env = append(command.Environ(), "GOTOOLCHAIN=local", "GOENV=off", "GOFLAGS=", "GOWORK=off")
	printed, err := command.Output()
	if err != nil {
		return nil, needsGo(messages.Errorf("this machine's Go (%s) does not work", path).Because(err))
	}
	if found := strings.TrimSpace(string(printed)); !newEnough(found) {
		return nil, needsGo(messages.Errorf("this machine's Go (%s, %s) is too old", path, cmp.Or(found, "?")))
	}
	return hostCompiler{path}, nil
}

func needsGo(failure *messages.Error) error {
	return failure.WithHint("install Go %s or later, or compile in a container: %s",
		oldestGo, messages.Hellolab("images", "build", "--builder", "docker"))
}

// newEnough reports whether a Go of that version, as `go env GOVERSION` prints it, compiles the sources. Go before 1.16
// prints nothing; what was built from Go's own repository prints "devel" and counts as new.
func newEnough(printed string) bool {
	found, _, _ := strings.Cut(printed, " ")
	return found == "devel" || version.IsValid(found) && version.Compare(found, "go"+oldestGo) >= 0
}

func (h hostCompiler) compile(ctx context.Context, sources map[string][]byte, architecture string, progress func(float64)) (map[string][]byte, error) {
	folder, remove, err := scratch.Folder()
	if err != nil {
		return nil, err
	}
	defer remove()
	laidOut, packages := files(sources)
	for name, content := range laidOut {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o644)); err != nil {
			return nil, err
		}
	}
	arguments := compile(h.goCommand, packages...)
	command := func(arguments []string) *exec.Cmd {
		command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
		command.Dir = folder
		command.Env = append(command.Environ(), environment(architecture)...)
		return command
	}
	said := &output{progress: progress}
	build, listing := command(arguments), command(count(h.goCommand, packages...))
	build.Stdout, build.Stderr, listing.Stdout = said, said, (*total)(said)
	if err := listing.Start(); err != nil {
		return nil, err
	}
	err = runBehind(build)
	listing.Wait()
	if err != nil {
		return nil, said.failure(err)
	}
	programs := map[string][]byte{}
	for tag := range sources {
		if programs[tag], err = os.ReadFile(filepath.Join(folder, "out", prefix+tag)); err != nil {
			return nil, err
		}
	}
	return programs, nil
}

// dockerCompiler is a container of an image with Go. It reads the sources on stdin and writes the programs to stdout, so
// that nothing has to be shared with the engine's machine, and it removes itself however this program ends.
type dockerCompiler struct {
	docker *client.Client
	image  string
	// cache is a volume that keeps what has been compiled, and lab its owner.
	cache, lab string
}

func (d dockerCompiler) compile(ctx context.Context, sources map[string][]byte, architecture string, progress func(float64)) (map[string][]byte, error) {
	laidOut, packages := files(sources)
	input, err := archive(laidOut)
	if err != nil {
		return nil, err
	}
	if err := engine.EnsureVolume(ctx, d.docker, d.cache, d.lab, nil); err != nil {
		return nil, err
	}
	var script strings.Builder
	quoted := func(arguments []string) string { return "'" + strings.Join(arguments, "' '") + "'" }
	script.WriteString("mkdir -p /build && cd /build && tar -xf - && { " + quoted(count("go", packages...)) + " | sed 's/^/" + listed + "/' >&2 & } && " +
		quoted(compile("go", packages...)) + " && wait && cd out && tar -cf - .")
	created, err := d.docker.ContainerCreate(ctx, &container.Config{
		Image: d.image, Cmd: []string{"sh", "-c", script.String()}, Entrypoint: []string{}, Env: append(environment(architecture), "GOCACHE=/cache"),
		OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		Labels: map[string]string{engine.Label: d.lab},
	}, &container.HostConfig{
		AutoRemove:  true,
		NetworkMode: "none",
		Mounts:      []mount.Mount{{Type: mount.TypeVolume, Source: d.cache, Target: "/cache"}},
		Resources:   container.Resources{CPUShares: 128}, // of 1024 as others have: it runs beside the start of a cluster
	}, nil, nil, "")
	if err != nil {
		return nil, err
	}
	defer d.docker.ContainerRemove(context.WithoutCancel(ctx), created.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	return d.converse(ctx, created.ID, input, progress)
}

// converse starts the container, sends it the sources, and returns the programs that it sends back.
func (d dockerCompiler) converse(ctx context.Context, id string, input io.Reader, progress func(float64)) (map[string][]byte, error) {
	stream, err := d.docker.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	exited, failed := d.docker.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := d.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return nil, err
	}
	go func() {
		io.Copy(stream.Conn, input)
		stream.CloseWrite()
	}()
	var archive bytes.Buffer
	said := &output{progress: progress}
	if _, err := stdcopy.StdCopy(&archive, said, stream.Reader); err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	select {
	case err := <-failed:
		return nil, err
	case status := <-exited:
		if status.StatusCode != 0 {
			return nil, said.failure(errors.New("go build"))
		}
	}
	return unpack(&archive)
}

// unpack returns the files of a tar archive by their names.
func unpack(archive io.Reader) (map[string][]byte, error) {
	programs, left := map[string][]byte{}, int64(largestPrograms)
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return programs, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if left -= header.Size; left < 0 || header.Size < 0 { // a few bytes may stand for a file of any size
			return nil, messages.Errorf("the compiler's container sends more than %v MiB", largestPrograms>>20)
		}
		if programs[strings.TrimPrefix(path.Base(header.Name), prefix)], err = io.ReadAll(reader); err != nil {
			return nil, err
		}
	}
}

// largestPrograms is how many bytes the course's programs may have together; they have about 40 MiB.
const largestPrograms = 256 << 20

// listed marks the lines of a listing among those of go build, where both come out of one container.
const listed = "list: "

// output is what go build -v prints: a line for each package that it has compiled, and the compiler's complaints.
type output struct {
	progress func(share float64)
	mutex    sync.Mutex
	text     bytes.Buffer
	rest     []byte // of a line that has not ended
	compiled int
	all      int
}

// total counts the listing of all packages, a line each.
type total output

func (t *total) Write(content []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.all += bytes.Count(content, []byte("\n"))
	return len(content), nil
}

func (o *output) Write(content []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.rest = append(o.rest, content...)
	for {
		line, rest, ended := bytes.Cut(o.rest, []byte("\n"))
		if !ended {
			break
		}
		if o.rest = rest; bytes.HasPrefix(line, []byte(listed)) {
			o.all++
			continue
		}
		o.compiled++
		o.text.Write(line)
		o.text.WriteByte('\n')
	}
	if o.all >= o.compiled && o.all > 0 {
		o.progress(float64(o.compiled) / float64(o.all))
	}
	return len(content), nil
}

// failure shows the compiler's own lines: those that name a file, or else the last ones.
func (o *output) failure(err error) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	text := o.text.String() + string(o.rest)
	if strings.Contains(text, "no space left on device") {
		return messages.Errorf("the disk is full").
			WithHint("make room on the disk (%s shows what Docker uses), then run the same command again", messages.Shell("docker", "system", "df"))
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.Contains(line, ".go:") {
			lines = append(lines, strings.ReplaceAll(line, prefix, ""))
		}
	}
	if len(lines) == 0 {
		all := strings.Split(strings.TrimSpace(text), "\n")
		lines = append([]string{err.Error()}, all[max(0, len(all)-5):]...)
	}
	return messages.Errorf("the sources do not compile:\n%s", "  "+strings.Join(lines, "\n  ")).
		WithHint("correct these lines, then run the same command again")
}
