package messages

import (
	"cmp"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Command is a command line for the reader to type, as it stands. It is printed so that it leads to the lab that this
// call of the program is about (see [Lab]), and so that a shell takes each word as it is.
type Command struct {
	program   string
	namespace string
	words     []string
	// usage stands at the end as it is: "CHAPTER[/STEP]".
	usage string
	// sudo says that it needs the rights of root.
	sudo bool
}

// Hellolab is a command of this program: Hellolab("lab", "check", "pod/nginx").
func Hellolab(words ...string) Command { return Command{program: "hellolab", words: words} }

// Kubectl is a command of kubectl's in a namespace of the lab; "" is none in particular.
func Kubectl(namespace string, words ...string) Command {
	return Command{program: "kubectl", namespace: namespace, words: words}
}

// Helm is a command of helm's in a namespace of the lab; "" is none in particular.
func Helm(namespace string, words ...string) Command {
	return Command{program: "helm", namespace: namespace, words: words}
}

// Shell is a command of any other program: Shell("docker", "logs", "web").
func Shell(program string, words ...string) Command { return Command{program: program, words: words} }

// Curl is a command of curl's. PowerShell on Windows has another one of that name, which takes other words.
func Curl(words ...string) Command { return curl(runtime.GOOS, words) }

func curl(system string, words []string) Command {
	if system == "windows" {
		return Shell("curl.exe", words...)
	}
	return Shell("curl", words...)
}

// Unset is the command that removes variables from a shell: of PowerShell on Windows, of any other one elsewhere.
func Unset(names ...string) Command { return unset(runtime.GOOS, names) }

func unset(system string, names []string) Command {
	if system != "windows" {
		return Shell("unset", names...)
	}
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = "Env:" + name
	}
	return Shell("Remove-Item", strings.Join(words, ","))
}

// Usage is c with what the reader has to fill in at its end, in capitals: "FILE", "CHAPTER[/STEP]".
func (c Command) Usage(usage string) Command {
	c.usage = usage
	return c
}

// Sudo is c with the rights of root.
func (c Command) Sudo() Command {
	c.sudo = true
	return c
}

// Text is the command alone.
func (c Command) Text() Text { return T("%s", c) }

// String is the command as it is typed for the lab with the default name.
func (c Command) String() string { return Printer{}.Command(c) }

// Lab is what commands need so that they lead to one lab.
type Lab struct {
	// Flags stand behind "hellolab": --name, where the lab has another one than the default.
	Flags []string
	// Settings stand behind "hellolab up": those that this call was given, as flags.
	Settings []string
	// Kubectl is what stands for "kubectl", where that word alone would lead somewhere else; none is the word.
	Kubectl []string
	// Context is the kubectl context that helm has to be told of, or "".
	Context string
	// Namespace is the one of kubectl's current context; "" is "default".
	Namespace string
}

// Command renders a command line.
func (p Printer) Command(c Command) string {
	lab := Lab{}
	if p.Lab != nil {
		lab = p.Lab()
	}
	if strings.HasPrefix(c.usage, "--name") || len(c.words) > 0 && c.words[0] == "--name" { // of another lab
		lab = Lab{}
	}
	words := []string{c.program}
	switch {
	case c.program == "hellolab" && slices.Equal(c.words[:min(1, len(c.words))], []string{"up"}):
		words = slices.Concat(words, lab.Flags, c.words[:1], lab.Settings, c.words[1:])
	case c.program == "hellolab":
		words = slices.Concat(words, lab.Flags, c.words)
	case c.program == "kubectl" && len(lab.Kubectl) > 0:
		words = slices.Concat(lab.Kubectl, c.words)
	default:
		words = slices.Concat(words, c.words)
	}
	if c.program == "helm" && lab.Context != "" {
		words = append(words, "--kube-context", lab.Context)
	}
	if c.namespace != "" && c.namespace != cmp.Or(lab.Namespace, defaultNamespace) {
		words = append(words, "-n", c.namespace)
	}
	if c.sudo {
		words = slices.Concat([]string{"sudo"}, words)
	}
	for i, word := range words {
		words[i] = quote(runtime.GOOS, word)
	}
	return strings.TrimSpace(strings.Join(words, " ") + " " + c.usage)
}

// defaultNamespace is where kubectl works unless told otherwise.
const defaultNamespace = "default"

// plain is a word that every shell takes as it is: a variable, or one without signs that mean something to it. A = at the
// begin does to zsh.
var plain = regexp.MustCompile(`^(\$[A-Z_]+|[\pL\pN_@%+:,./-][\pL\pN_@%+=:,./-]*)$`)

// quote writes a word so that the shell of that system takes it as one word.
func quote(system, word string) string {
	switch {
	case plain.MatchString(word), system == "windows" && plain.MatchString(strings.ReplaceAll(word, `\`, "/")):
		return word
	case system == "windows" && !strings.Contains(word, `"`):
		return `"` + word + `"`
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
