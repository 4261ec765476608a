//go:build e2e

package e2e

import (
	"regexp"
	"strings"
)

// words are what a text of hellolab's has to have in it, regular expressions without regard to case: the names, numbers
// and commands that carry its meaning, and no more of its prose than that. All prose that tests look at stands here.
type words []string

var (
	nothingToChange = words{"nothing to change"}
	nothingToRemove = words{"nothing to remove"}
	staysAsMade     = words{`bootstrap\.workers`, "hellolab down"}

	notRunning   = words{"hellolab start"}
	isPaused     = words{"paused", "hellolab resume"}
	noAnswer     = words{"hellolab status"}
	keepsTrying  = words{"keeps trying|trying again|retry"}
	noLab        = words{"no lab", "hellolab up"}
	locked       = words{"another hellolab"}
	secondTunnel = words{"another.* tunnel"}

	noEngine         = words{"engine", "next: "}
	noDocker         = words{"docker", "PATH", "next: "}
	brokenKubeconfig = words{"/broken", "next: "}
	clusterExists    = words{"kind cluster", "e2e-refused", "--name"}
	containerExists  = words{"container", "e2e-refused-registry", "docker rename"}

	oneCompiled     = words{"compiling (1|one) image"}
	doesNotCompile  = words{"compile", `v1/main\.go:3`, "undefined: x", "next: "}
	noSuchTag       = words{"v9"}
	noSuchBuilder   = words{"builder", "magic"}
	imagesWhat      = words{"list", "build", "export"}
	noBuilder       = words{"builder image", "install Go"}
	upWithoutImages = words{"builder image", "--no-images"}

	changedByReader = words{"changed", `v1/main\.go`, "--force"}

	unknownFlag  = words{"--nope"}
	unknownShell = words{"nope", "powershell"}

	namespaceStays = words{"namespace dev"}
	fileExists     = words{"already|exists", "--force"}
	interrupted    = words{"interrupted"}
)

// portTaken is said of a port that somebody else has.
func portTaken(port, by string) words { return words{`\b` + port + `\b`, `\b` + by + `\b`} }

// keptIn finds the file that objects of the reader's are kept in.
var keptIn = regexp.MustCompile(`(?:kept|saved) in (\S+?)[,;.]?(?:\s|$)`)

// ofThisLab is what a command to type has in it because the lab is not the default one.
var ofThisLab = regexp.MustCompile(` --(name e2e-|course |kube-context )\S+`)

// missingIn is the first word that is not in a text, or "". Where lines are broken, and which lab its commands name, are
// no matter.
func (w words) missingIn(text string) string {
	text = strings.Join(strings.Fields(text), " ") + " " // "next: " may be the end of a line
	text = strings.ReplaceAll(ofThisLab.ReplaceAllString(text, ""), "hellolab kubectl ", "kubectl ")
	for _, word := range w {
		if !regexp.MustCompile("(?i)" + word).MatchString(text) {
			return word
		}
	}
	return ""
}

// says fails unless a text has the words in it.
func (l *lab) says(text string, wanted words) {
	l.Helper()
	if word := wanted.missingIn(text); word != "" {
		l.Errorf("does not say %q but\n%s", word, text)
	}
}
