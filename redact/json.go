package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// JSON writes a value, indented and without its secrets: the data of Kubernetes' Secrets, and what fields, variables and
// flags hold that are called so.
func (r Redactor) JSON(value any) ([]byte, error) {
	tree, err := plain(value)
	if err != nil {
		return nil, err
	}
	return encode(r.clean(tree), "  ")
}

// plain is a value as encoding/json reads it: maps, lists, strings, numbers.
func plain(value any) (tree any, err error) {
	content, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	err = decoder.Decode(&tree)
	return tree, err
}

func encode(tree any, indent string) ([]byte, error) {
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(tree)
	return content.Bytes(), err
}

func (r Redactor) clean(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		return r.cleanObject(tree)
	case []any:
		for i, item := range tree {
			tree[i] = r.clean(item)
			if i > 0 && isSecretFlag(tree[i-1]) {
				tree[i] = blank(tree[i])
			}
		}
		return tree
	case string:
		return r.cleanString(tree)
	}
	return tree
}

func (r Redactor) cleanObject(object map[string]any) any {
	name, _ := object["name"].(string)
	for key, value := range object {
		switch {
		case key == "managedFields": // nothing but names, and many
			delete(object, key)
		case isSecretData(object, key), holdsSecret(key) && !isReference(value), key == "value" && holdsSecret(name), key == lastApplied && quotesSecret(value):
			object[key] = blank(value)
		default:
			object[key] = r.clean(value)
		}
	}
	return object
}

// lastApplied is the annotation in which kubectl keeps an object, a Secret with its data too.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func quotesSecret(value any) bool {
	text, _ := value.(string)
	return strings.Contains(text, `"Secret"`)
}

func isSecretData(object map[string]any, key string) bool {
	return object["kind"] == "Secret" && (key == "data" || key == "stringData")
}

// isReference reports whether a field leads to a Secret, as a volume of a pod does, and holds none.
func isReference(value any) bool {
	object, _ := value.(map[string]any)
	for _, key := range []string{"secretName", "name", "expirationSeconds"} {
		if _, found := object[key]; found {
			return true
		}
	}
	return false
}

// isSecretFlag reports whether the next word of a command line is a secret: "--password".
func isSecretFlag(word any) bool {
	flag, _ := word.(string)
	return strings.HasPrefix(flag, "-") && !strings.Contains(flag, "=") && holdsSecret(flag)
}

// blank is a value without any text: the names of fields stay.
func blank(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		for key := range tree {
			tree[key] = blank(tree[key])
		}
		return tree
	case []any:
		for i := range tree {
			tree[i] = blank(tree[i])
		}
		return tree
	case string, json.Number:
		return Blank
	}
	return tree
}

// cleanString blanks secrets in a string. One that is JSON itself is read as such, and NAME=VALUE is a variable.
func (r Redactor) cleanString(text string) string {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var inner any
		if json.Unmarshal([]byte(trimmed), &inner) == nil {
			if content, err := encode(r.clean(inner), ""); err == nil {
				return strings.TrimSpace(string(content))
			}
		}
	}
	if name, _, isVariable := strings.Cut(text, "="); isVariable && !strings.ContainsAny(name, " \n:") && holdsSecret(name) {
		return name + "=" + Blank
	}
	return r.Text(text)
}

// Secrets finds the secrets that a value holds in so many words, for [New]: logs may quote them. The namespace and the
// certificate that a service account's Secret has are none.
func Secrets(value any) []string {
	tree, err := plain(value)
	if err != nil {
		return nil
	}
	var all []string
	gather(tree, &all)
	return all
}

func gather(tree any, all *[]string) {
	switch tree := tree.(type) {
	case map[string]any:
		name, _ := tree["name"].(string)
		for key, value := range tree {
			text, isText := value.(string)
			switch {
			case isSecretData(tree, key):
				gatherData(value, all)
			case isText && (holdsSecret(key) || key == "value" && holdsSecret(name)):
				*all = append(*all, text)
			default:
				gather(value, all)
			}
		}
	case []any:
		for _, item := range tree {
			gather(item, all)
		}
	case string:
		if name, value, isVariable := strings.Cut(tree, "="); isVariable && !strings.ContainsAny(name, " \n:") {
			gatherVariable(name, value, all)
		}
	}
}

// gatherData finds the values of a Secret, which are in base64 in "data" and plain in "stringData".
func gatherData(data any, all *[]string) {
	values, _ := data.(map[string]any)
	for key, value := range values {
		text, isText := value.(string)
		if !isText || key == "namespace" || key == "ca.crt" {
			continue
		}
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
			*all = append(*all, string(decoded))
		}
		*all = append(*all, text)
	}
}

// gatherVariable finds the secret of a variable: all of its value, or the password of a URL.
func gatherVariable(name, value string, all *[]string) {
	if holdsSecret(name) {
		*all = append(*all, value)
	}
	if address, err := url.Parse(value); err == nil && address.User != nil {
		if password, set := address.User.Password(); set {
			*all = append(*all, password)
		}
	}
}
