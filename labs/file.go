package labs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hellolab/hellolab/durable"
)

// A file is YAML that kubectl can read, below one line that says what it is and what its content's SHA-256 is: a whole lab,
// or objects that had to go.
const (
	firstWords      = "# hellolab lab save 1 sha256:"
	firstWordsApart = "# hellolab kept 1 sha256:"
)

// write encodes objects as the file of a whole lab.
func write(objects []*unstructured.Unstructured) ([]byte, error) { return sealed(firstWords, objects) }

// sealed encodes objects below their first line.
func sealed(first string, objects []*unstructured.Unstructured) ([]byte, error) {
	body, err := encode(objects)
	sum := sha256.Sum256(body)
	return append([]byte(first+hex.EncodeToString(sum[:])+"\n"), body...), err
}

// encode encodes objects as YAML.
func encode(objects []*unstructured.Unstructured) ([]byte, error) {
	var body bytes.Buffer
	for _, object := range objects {
		body.WriteString("---\n")
		encoder := yaml.NewEncoder(&body)
		encoder.SetIndent(2)
		if err := encoder.Encode(object.Object); err != nil {
			return nil, err
		}
	}
	return body.Bytes(), nil
}

// replaceFile writes a file in one go, and onto the disk. Others may not read it, whatever was there, since it holds
// Secrets. A device, or a pipe, is written as it is.
func replaceFile(file string, content []byte) error {
	switch found, err := os.Stat(file); {
	case err == nil && found.Mode().IsRegular():
		if err := os.Chmod(file, 0o600); err != nil {
			return err
		}
	case err == nil && !found.IsDir():
		return writeThrough(file, content)
	}
	return durable.Replace(file, content, 0o600)
}

// writeThrough writes to what is no plain file.
func writeThrough(file string, content []byte) error {
	opened, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = opened.Write(content)
	return errors.Join(err, opened.Close())
}

// writeAside saves objects of the user's before they are removed, and returns the file's name. [Labs.Restore] brings them
// back.
func (l *Labs) writeAside(objects []*unstructured.Unstructured) (string, error) {
	var namespaces []string
	var saved []*unstructured.Unstructured
	for _, object := range objects {
		if name := object.GetNamespace(); name != "" && name != metav1.NamespaceDefault && !slices.Contains(namespaces, name) {
			namespaces = append(namespaces, name)
			saved = append(saved, namespaceObject(corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
		}
		saved = append(saved, portable(object))
	}
	content, err := sealed(firstWordsApart, saved)
	if err != nil {
		return "", err
	}
	return l.keep(".yaml", content)
}

// keep writes the user's content to a new file, whose name is the time, a number if that name is taken, and an ending.
// Where an earlier try has kept the very same, that file will do.
func (l *Labs) keep(ending string, content []byte) (string, error) {
	if err := os.MkdirAll(l.Saved, 0o700); err != nil {
		return "", err
	}
	if err := durable.SyncFolder(filepath.Dir(l.Saved)); err != nil {
		return "", err
	}
	if file := l.keptAlready(ending, content); file != "" {
		return file, nil
	}
	now := filepath.Join(l.Saved, time.Now().Format("2006-01-02T15-04-05.000"))
	file := now + ending
	for n := 2; ; n++ {
		if _, err := os.Stat(file); err != nil {
			return file, replaceFile(file, content)
		}
		file = fmt.Sprintf("%s-%d%s", now, n, ending)
	}
}

// keptAlready is the file that has a content, or "".
func (l *Labs) keptAlready(ending string, content []byte) string {
	entries, err := os.ReadDir(l.Saved)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		file := filepath.Join(l.Saved, entry.Name())
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(content)) || filepath.Ext(file) != filepath.Ext(ending) {
			continue
		}
		if there, err := os.ReadFile(file); err == nil && bytes.Equal(there, content) {
			return file
		}
	}
	return ""
}
