apt-get install --no-install-recommends openjdk-17-jre-headless
