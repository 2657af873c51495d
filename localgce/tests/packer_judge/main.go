// Runs the builder of Packer's plugin for Compute Engine, as Packer's core would: it reads the
// configuration of a source "googlecompute" as JSON, and prints the name of the image.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-googlecompute/builder/googlecompute"
	"github.com/hashicorp/packer-plugin-sdk/packer"
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build() error {
	var config map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil {
		return err
	}
	builder := &googlecompute.Builder{}
	if _, _, err := builder.Prepare(config); err != nil {
		return err
	}
	ui := &packer.BasicUi{Reader: os.Stdin, Writer: os.Stderr, ErrorWriter: os.Stderr}
	artifact, err := builder.Run(context.Background(), ui, &packer.DispatchHook{})
	if err != nil {
		return err
	}
	fmt.Println(artifact.Id())
	return nil
}
