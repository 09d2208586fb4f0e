/* A line game in the manner of capture-the-flag tasks: a number is to be found in 20 guesses, then the flag is shown. It
 * speaks first. The name that it asks for is read without a bound, as such tasks have it: to be attacked. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define HIGHEST 1000000
#define GUESSES 20

static void greet(void)
{
	char name[16] = "";

	fputs("Who are you? ", stdout);
	fflush(stdout);
	if (scanf("%[^\r\n]", name) == EOF)
		exit(1);
	while (getchar() != '\n' && !feof(stdin))
		;
	printf("Hello %s. Find a number from 1 to %d.\n", name, HIGHEST);
}

int main(void)
{
	char line[64], flag[128] = "the flag is gone\n";
	unsigned int secret;
	long guess;
	FILE *file;
	int i;

	if (getrandom(&secret, sizeof secret, 0) != sizeof secret)
		return 1;
	secret = secret % HIGHEST + 1;
	greet();
	for (i = 1; i <= GUESSES; i++) {
		printf("%d> ", i);
		fflush(stdout);
		if (!fgets(line, sizeof line, stdin))
			return 1;
		guess = strtol(line, NULL, 10);
		if (guess == (long)secret) {
			file = fopen("/flag", "r");
			if (file && fgets(flag, sizeof flag, file))
				fclose(file);
			fputs(flag, stdout);
			return fflush(stdout) != 0;
		}
		puts(guess < (long)secret ? "more" : "less");
	}
	puts("No more guesses.");
	return fflush(stdout) != 0;
}
