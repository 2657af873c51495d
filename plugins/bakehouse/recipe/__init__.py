"""What an image must contain: from recipe file and commit to script, payload and content key.

How a task uses it:

    load_recipe(text, path) -> Recipe                      load.py; raises Mistakes
    load_recipes(folder) -> (list[Recipe], list[Mistakes])

    with open_repository(url_or_path, env) as repository:  git/; raises SourceError kinds
        commit = repository.resolve(ref, not_after)        Commit, a pydantic model
        recipe = recipe_at(repository, commit.sha, name)   at_commit.py; as of that commit
        files = scripts_at(repository, commit.sha, recipe) {path: GitFile(mode, data)}

    rendered = render(recipe, commit, files, vars)         render.py; raises RenderError
    key = content_key(rendered, base_image_id)
    bundle = Bundle(rendered, base_image_id)               what is stored, by its content key
    facts = ImageFacts(...)                                what image.json says
    builder_metadata(rendered, facts, nonce) -> dict[str, str]   instance attributes, complete
    smoke_metadata(rendered, nonce) -> dict[str, str]            the same for the smoke VM
"""
