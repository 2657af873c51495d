# The image of a deployment by Astro: `astro dev start` and `astro deploy` build it. It installs
# packages.txt and requirements.txt and copies dags, include and plugins (.dockerignore: no tests,
# no devstack).
# The runtime's first two numbers are the line of Airflow that requirements.txt pins: move both
# together. Nothing here builds this image: `make test` installs the same requirements into a venv.
FROM astrocrpublic.azurecr.io/runtime:3.3-2
