package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/sirupsen/logrus"

	"github.com/hellolab/hellolab/messages"
	"github.com/hellolab/hellolab/redact"
)

// TestDoctorCommand holds what `doctor` prints of what it finds, and its exit status.
func TestDoctorCommand(t *testing.T) {
	m := newMachine(t)
	auto := []string{"--set", "bootstrap.ports.http=auto", "--set", "bootstrap.ports.https=auto", "--set", "bootstrap.ports.nodePort=auto", "--set", "registry.port=auto"}
	if done := m.must(exitDone, append([]string{"doctor"}, auto...)); strings.Contains(done.stdout, "error: ") || done.stdout == "" {
		t.Errorf("of a good machine it says %q", done.stdout)
	}
	t.Setenv("MINIKUBE_ACTIVE_DOCKERD", "minikube")
	m.must(exitFailed, []string{"doctor"}, "error: this shell's DOCKER_HOST", "[engine-minikube]", "\n  next: make this shell use this machine's engine: unset DOCKER_HOST MINIKUBE_ACTIVE_DOCKERD\n")
	var found []struct{ ID, Severity, Text, Cause, Next string }
	m.check(json.Unmarshal([]byte(m.must(exitFailed, []string{"doctor", "-o", "json", "--lang", "zh"}).stdout), &found))
	if len(found) == 0 || found[0].ID != "engine-minikube" || found[0].Severity != "error" || !strings.Contains(found[0].Text, "指向 minikube") || found[0].Cause == "" || found[0].Next == "" {
		t.Errorf("as JSON it is %+v", found)
	}
	t.Setenv("MINIKUBE_ACTIVE_DOCKERD", "")
	m.tools("kubectl")
	m.must(exitFailed, append([]string{"doctor"}, auto...), "[docker-command]")
}

// TestUpLooksFirst holds that `up` makes nothing where a rule says that it would be in vain.
func TestUpLooksFirst(t *testing.T) {
	m := newMachine(t)
	m.engine.SetInfo(func(info *system.Info) { info.OSType = "windows" })
	m.must(exitFailed, []string{"up"}, "error: this Docker Engine runs Windows containers\n", "\nnext: choose \"Switch to Linux containers\"")
	if volumes := m.engine.Volumes(); len(volumes) > 0 {
		t.Errorf("it has made %v", volumes)
	}
}

// TestShellsSettingsAreLeftAside holds that kind sees none of the settings of the shell that would change its nodes.
func TestShellsSettingsAreLeftAside(t *testing.T) {
	m := newMachine(t)
	names := []string{"DOCKER_DEFAULT_PLATFORM", "KIND_EXPERIMENTAL_DOCKER_NETWORK", "KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER"}
	for _, name := range names {
		t.Setenv(name, "linux/s390x")
	}
	m.must(exitDone, []string{"status"})
	for _, name := range names {
		if value, set := os.LookupEnv(name); set {
			t.Errorf("%s is %q", name, value)
		}
	}
}

// TestExplain holds that raw errors of others get words, a cause and a next command, and that errors with a hint keep it.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err   error
		wants []string
	}{
		{client.ErrorConnectionFailed("unix:///var/run/docker.sock"), []string{"error: the Docker Engine has gone away: ", "next: start the Docker Engine"}},
		{errors.New("write /x: no space left on device"), []string{"error: a disk is full: write /x", "next: make room"}},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, []string{"error: a part of the lab does not answer: dial", "next: hellolab status"}},
		{&net.DNSError{Err: "no such host", Name: "x.example"}, []string{"error: the network does not know a name: lookup x.example", "next: check"}},
		{context.DeadlineExceeded, []string{"error: something did not answer in time: ", "hellolab doctor"}},
		{errors.New("exit status 1"), []string{"error: exit status 1\n", "next: hellolab status"}},
		{errors.Join(messages.Errorf("a").WithHint("b"), errors.New("no space left on device")), []string{"error: a\n", "error: a disk is full", "next: b\n", "next: make room"}},
		{messages.Errorf("no space left on device").WithHint("its own"), []string{"error: no space left on device\nnext: its own\n"}},
		{messages.Usagef("wrong"), []string{"error: wrong\nnext: hellolab help\n"}},
	} {
		printer := messages.Printer{Advise: advice}
		got := printer.Report(explain(test.err))
		for _, want := range test.wants {
			if !strings.Contains(got, want) {
				t.Errorf("%v is told as\n%swithout %q", test.err, got, want)
			}
		}
	}
}

// TestLogsCommand holds that an archive is written whatever there is, and never over another file unasked.
func TestLogsCommand(t *testing.T) {
	m := newMachine(t)
	t.Setenv("HTTPS_PROXY", "http://me:pl4nted-word@proxy.example:3128")
	if done := m.must(exitDone, []string{"logs", "report.zip"}, "some of it could not be collected: ", "look into it"); done.stdout != "report.zip\n" {
		t.Errorf("it prints %q", done.stdout)
	}
	files := m.unpack("report.zip")
	for _, name := range []string{"version.json", "config.json", "environment.json", "status.json", "doctor.json", "machine.json", "lock.json", "engine/info.json", "missing.json"} {
		if files[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	for name, content := range files {
		if strings.Contains(content, "pl4nted-word") {
			t.Errorf("%s holds the proxy's password", name)
		}
	}
	m.must(exitUsage, []string{"logs", "report.zip"}, "report.zip exists already", "hellolab logs --force report.zip")
	m.must(exitUsage, []string{"logs"}, "hellolab logs FILE")
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	m.must(exitDone, []string{"logs", "--force", "report.zip", "-o", "json"}, `"file": "report.zip"`, `"engine"`)
	if files := m.unpack("report.zip"); !strings.Contains(files["missing.json"], "no Docker Engine answers") || !strings.Contains(files["doctor.json"], "engine-stopped") {
		t.Errorf("without an engine it says %s", files["missing.json"])
	}
}

// unpack returns the files of an archive.
func (m *machine) unpack(file string) map[string]string {
	m.Helper()
	archive, err := zip.OpenReader(file)
	m.check(err)
	defer archive.Close()
	files := map[string]string{}
	for _, entry := range archive.File {
		content, err := entry.Open()
		m.check(err)
		read, err := io.ReadAll(content)
		m.check(err)
		files[entry.Name] = string(read)
	}
	return files
}

// TestLogOfParts holds that -v shows no password of a proxy.
func TestLogOfParts(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	log := logrus.New()
	log.SetLevel(logrus.DebugLevel)
	log.SetOutput(redact.Writer{Writer: &said, Redactor: redact.New(nil)})
	log.Debug(`command "docker run -e HTTP_PROXY=http://me:pl4nted-word@127.0.0.1:7890 kindest/node" failed`)
	if strings.Contains(said.String(), "pl4nted") || !strings.Contains(said.String(), "127.0.0.1:7890 kindest/node") {
		t.Errorf("it says %s", said.String())
	}
}
