package main

import (
	_ "embed"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/bootstrap"
	"github.com/hellolab/hellolab/messages"
)

//go:embed config.yaml
var defaultConfig []byte

// settings are the defaults, with the user's file and flags over them. asked tells whether the user named any beside
// the lab's name.
func (p *program) settings(c *cli.Context) (settings bootstrap.Settings, asked bool, err error) {
	if err := yaml.Unmarshal(defaultConfig, &settings); err != nil {
		return settings, false, err
	}
	file := c.String("config")
	if file == "" {
		file = p.getenv("HELLOLAB_CONFIG")
	}
	if file != "" {
		if err := decodeFile(file, &settings); err != nil {
			return settings, false, err
		}
		asked = true
	}
	if c.IsSet("name") {
		settings.Bootstrap.Name = c.String("name")
	}
	if c.IsSet("workers") {
		settings.Bootstrap.Workers, asked = c.Int("workers"), true
	}
	if c.IsSet("no-ingress") {
		settings.Bootstrap.Ingress.Enabled, asked = !c.Bool("no-ingress"), true
	}
	return settings, asked, settings.Validate()
}

// decodeFile reads the user's file over settings, and refuses it with everything that is wrong with it.
func decodeFile(file string, settings *bootstrap.Settings) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return messages.Usagef("the settings cannot be read").Because(err).WithHint("name a file that can be read: --config FILE")
	}
	var wrong []error
	var written, known yaml.Node
	if err := yaml.Unmarshal(content, &written); err != nil {
		return inFile(file, err)
	}
	if err := yaml.Unmarshal(defaultConfig, &known); err != nil {
		return err
	}
	if written.Kind == 0 {
		return nil // nothing but comments
	}
	wrong = append(wrong, unknownKeys(file, "", written.Content[0], known.Content[0])...)
	if err := written.Decode(settings); err != nil {
		var mistyped *yaml.TypeError
		if errors.As(err, &mistyped) {
			for _, line := range mistyped.Errors {
				wrong = append(wrong, inFile(file, errors.New(line)))
			}
		} else {
			wrong = append(wrong, inFile(file, err))
		}
	}
	return errors.Join(wrong...)
}

// freeForm are the settings whose keys are the user's own.
var freeForm = []string{"bootstrap.ingress.values"}

// unknownKeys finds every key that the default settings do not have, with its line.
func unknownKeys(file, path string, written, known *yaml.Node) (wrong []error) {
	if written.Kind != yaml.MappingNode || known.Kind != yaml.MappingNode || slices.Contains(freeForm, path) {
		return nil
	}
	var names []string
	for i := 0; i < len(known.Content); i += 2 {
		names = append(names, known.Content[i].Value)
	}
	for i := 0; i < len(written.Content); i += 2 {
		key := written.Content[i]
		full := strings.TrimPrefix(path+"."+key.Value, ".")
		if at := slices.Index(names, key.Value); at >= 0 {
			wrong = append(wrong, unknownKeys(file, full, written.Content[i+1], known.Content[2*at+1])...)
			continue
		}
		wrong = append(wrong, messages.Usagef("%s, line %v: there is no setting %s", file, key.Line, full).
			WithHint("hellolab config shows all settings"))
	}
	return wrong
}

var (
	lineOf     = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	mismatched = regexp.MustCompile("^cannot unmarshal !!\\w+ ?(?:`(.*)`)? into (.*)$")
)

// inFile retells what the YAML library says about a line.
func inFile(file string, err error) error {
	var ours *messages.Error
	if errors.As(err, &ours) {
		return messages.Usagef("%s", file).Because(ours)
	}
	parts := lineOf.FindStringSubmatch(err.Error())
	if parts == nil {
		return messages.Usagef("%s is not YAML", file).Because(err)
	}
	if value := mismatched.FindStringSubmatch(parts[2]); value != nil {
		return messages.Usagef("%s, line %s: %q is not what belongs there, %s", file, parts[1], value[1], kindOf(value[2]))
	}
	return messages.Usagef("%s, line %s: %s", file, parts[1], parts[2])
}

// kindOf puts a Go type into the user's words.
func kindOf(goType string) messages.Text {
	switch {
	case strings.HasPrefix(goType, "int"):
		return messages.T("a whole number")
	case goType == "port.Port":
		return messages.T("a port, 1 to 65535, or auto")
	case goType == "bool":
		return messages.T("true or false")
	case goType == "time.Duration":
		return messages.T("a time such as 5m")
	case strings.HasPrefix(goType, "[]"):
		return messages.T("a list")
	case goType == "string":
		return messages.T("a text")
	}
	return messages.T("a group of settings")
}
