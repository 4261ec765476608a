package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/hellolab/hellolab/redact"
)

const planted = "s3cr3t-pl4nted"

// TestText holds that a secret goes in every shape that logs and configurations have, and that what leads to it stays.
func TestText(t *testing.T) {
	t.Parallel()
	token := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(planted)) + ".c2ln"
	for _, test := range []struct{ text, secret, stays string }{
		{"-e HTTP_PROXY=http://user:" + planted + "@proxy.example:3128 image", planted, "@proxy.example:3128 image"},
		{"http://user:with/slash" + planted + "@proxy.example/", planted, "proxy.example/"},
		{"HTTPS_PROXY=user:" + planted + "@proxy.example:3128", planted, "proxy.example:3128"},
		{"DB_PASSWORD=" + planted + " next", planted, "DB_PASSWORD="},
		{"a\n  password: two words " + planted + "\nb: c", planted, "\nb: c"},
		{`{"password":"a \" ` + planted + `","user":"x"}`, planted, `"user":"x"`},
		{`time=1 msg="said {\"token\":\"` + planted + `\",\"a\":1}"`, planted, `\"a\":1`},
		{"--client-key-data=" + planted, planted, "--client-key-data="},
		{"Authorization: Basic " + planted, planted, "Authorization: "},
		{"curl -H 'Authorization: Bearer " + planted + "' x", planted, "' x"},
		{"got " + token + " from it", token, "from it"},
		{"kubeadm join --token abcdef.0123456789abcdef host", "0123456789abcdef", "kubeadm join"},
		{"-----BEGIN RSA PRIVATE KEY-----\n" + planted + "\n-----END RSA PRIVATE KEY-----\nrest", planted, "rest"},
		{"-----BEGIN EC PRIVATE KEY-----\n" + planted, planted, ""},
		{"key: " + base64.StdEncoding.EncodeToString([]byte("-----BEGIN PRIVATE KEY-----"+planted)), "LS0tLS1", "key: "},
		{"login ghp_0123456789abcdefghijABCD done", "ghp_0123456789", "done"},
	} {
		got := redact.New(nil).Text(test.text)
		if strings.Contains(got, test.secret) || !strings.Contains(got, redact.Blank) || !strings.Contains(got, test.stays) {
			t.Errorf("%q becomes %q", test.text, got)
		}
	}
}

// TestTextKeepsTheRest holds that what helps to find a fault stays readable.
func TestTextKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"pulled localhost:5001/nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		`failed to get secret "default/web": not found`,
		"secretName: web",
		"mail to someone@example.com",
		"https://registry.example/v2/?a=b",
		"the token of this lab has changed",
	} {
		if got := redact.New(nil).Text(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// TestKnown holds that a secret which is told of goes wherever it stands, in all its encodings.
func TestKnown(t *testing.T) {
	t.Parallel()
	secret := `pa"ss w&rd/1`
	quoted, _ := json.Marshal(secret)
	redactor := redact.New([]string{secret})
	for _, text := range []string{secret, url.QueryEscape(secret), string(quoted), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret + "\n"))} {
		if got := redactor.Text("before " + text + " after"); !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || strings.Contains(got, text) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := redact.New([]string{"short", "a"}).Text("a short text"); got != "a short text" {
		t.Errorf("short secrets are taken out of words: %q", got)
	}
	if got := redact.New([]string{"first line\nsecond line"}).Text("log: second line"); strings.Contains(got, "second") {
		t.Errorf("a line of a secret stays: %q", got)
	}
}

// TestJSON holds that objects and settings go without their secrets, and stay JSON.
func TestJSON(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(planted))
	object := fmt.Sprintf(`{"kind":"Secret","metadata":{"name":"web","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"stringData\":{\"a\":\"%s\"}}"},
		"managedFields":[{"manager":"kubectl"}]},"data":{"key":"%s"},"stringData":{"other":"%s"}}`, planted, encoded, planted)
	pod := fmt.Sprintf(`{"kind":"Pod","spec":{"volumes":[{"secret":{"secretName":"web"}}],"containers":[{"name":"c","args":["--password","%[1]s","--token=%[1]s"],
		"env":[{"name":"API_TOKEN","value":"%[1]s"},{"name":"MODE","value":"fast"}]}]},"Env":["DB_PASSWORD=%[1]s, and more","MODE=fast"],"auth":"%[1]s",
		"inner":"{\"password\":\"%[1]s\"}","count":3}`, planted)
	for _, text := range []string{object, pod} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		got, err := redact.New(nil).JSON(value)
		if err != nil || strings.Contains(string(got), planted) || strings.Contains(string(got), encoded) || !json.Valid(got) || strings.Contains(string(got), "and more") {
			t.Errorf("it becomes %s, %v", got, err)
		}
		for _, stays := range []string{`"web"`, `"key"`, "MODE=fast", `"fast"`, `"count": 3`} {
			if strings.Contains(text, strings.Trim(strings.ReplaceAll(stays, ": ", ":"), " ")) && !strings.Contains(string(got), stays) {
				t.Errorf("%s is gone from %s", stays, got)
			}
		}
	}
}

// TestSecrets holds that a Secret's values are found, for the logs that quote them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	found := redact.Secrets([]any{
		map[string]any{"kind": "Secret", "data": map[string]any{"key": base64.StdEncoding.EncodeToString([]byte(planted)), "namespace": "a3ViZS1zeXN0ZW0="}},
		map[string]any{"Env": []any{"HTTP_PROXY=http://user:of-the-proxy@host", "MY_TOKEN=of-the-variable"}},
		map[string]any{"env": []any{map[string]any{"name": "PASSWORD", "value": "of-the-container"}}},
	})
	all := strings.Join(found, "\n")
	for _, secret := range []string{planted, "of-the-proxy", "of-the-variable", "of-the-container"} {
		if !strings.Contains(all, secret) {
			t.Errorf("%s is not found", secret)
		}
	}
	if strings.Contains(all, "kube-system") {
		t.Error("the name of a namespace counts as a secret")
	}
}

// FuzzText plants a secret in any text, in the shapes that hold one, and looks for it in what comes out.
func FuzzText(f *testing.F) {
	f.Add("some log\n", []byte("0123456789"), "after")
	f.Add(`{"a":"`, []byte("abcdefghij"), `"}`)
	f.Add("password=", []byte("abcdefghij"), `\"`)
	f.Add("http://", []byte("abcdefghij"), "@host")
	f.Fuzz(func(t *testing.T, before string, seed []byte, after string) {
		if len(seed) < 8 || len(seed) > 64 {
			t.Skip()
		}
		secret := "q" + hex.EncodeToString(seed) // stands in no text by chance
		if strings.Contains(before+after, secret[:8]) {
			t.Skip()
		}
		if got := redact.New([]string{secret}).Text(before + secret + after); strings.Contains(got, secret) {
			t.Errorf("a known secret stays: %q", got)
		}
		for _, shape := range []string{"\nMY_PASSWORD=%s\n", "\npassword: \"%s\"\n", " http://user:%s@host ", "\n-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n"} {
			got := redact.New(nil).Text(before + fmt.Sprintf(shape, secret) + after)
			if strings.Contains(got, secret) {
				t.Errorf("in the shape %q it stays: %q", shape, got)
			}
			if again := redact.New(nil).Text(got); strings.Contains(again, secret) {
				t.Errorf("a second time brings it back: %q", again)
			}
		}
	})
}

// FuzzJSON holds that JSON stays JSON, without the secret in it.
func FuzzJSON(f *testing.F) {
	f.Add(`{"a":["b",{"name":"TOKEN","value":"x"}]}`, []byte("0123456789"))
	f.Add(`"{\"password\":\"x\"}"`, []byte("0123456789"))
	f.Fuzz(func(t *testing.T, text string, seed []byte) {
		var value any
		if len(seed) < 8 || len(seed) > 64 || json.Unmarshal([]byte(text), &value) != nil {
			t.Skip()
		}
		secret := "q" + hex.EncodeToString(seed)
		got, err := redact.New(nil).JSON(map[string]any{"any": value, "password": secret, "env": []any{"A_TOKEN=" + secret}})
		if err != nil || !json.Valid(got) || strings.Contains(string(got), secret) {
			t.Errorf("it becomes %s, %v", got, err)
		}
	})
}
